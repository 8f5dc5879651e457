-- Keep what a person thinks of a response, in place of what they thought before.
--
-- RETURNS when it was said, ms | 0 unknown, not stored, or another owner's
-- INCLUDES clock
assert(#KEYS == 1 and #ARGV == 4)
local response_key = KEYS[1] -- hash
local owner = ARGV[1]
local score = ARGV[2]
local comment = ARGV[3]
local has_comment = ARGV[4] == '1'

local found_owner, unstored = unpack(redis.call('HMGET', response_key, 'owner', 'unstored'))
if found_owner ~= owner or unstored then return 0 end
local now_ms = read_clock_ms()
redis.call('HSET', response_key, 'feedback_score', score, 'feedback_ms', now_ms)
if has_comment then
  redis.call('HSET', response_key, 'feedback_comment', comment)
else
  redis.call('HDEL', response_key, 'feedback_comment')
end
return now_ms
