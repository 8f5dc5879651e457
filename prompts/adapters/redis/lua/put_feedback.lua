-- Keep what a person thinks of a response, in place of what they thought before.
--
-- RETURNS when it was said, ms | 0 unknown, not stored, or another owner's
-- INCLUDES clock letting_go outbox
assert(#KEYS == 1 and #ARGV == 5)
local response_key = KEYS[1] -- hash
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local score = ARGV[3]
local comment = ARGV[4]
local has_comment = ARGV[5] == '1'

local found_owner, unstored, timeline = unpack(redis.call('HMGET', response_key, 'owner', 'unstored', 'timeline'))
if found_owner ~= owner or unstored then return 0 end
local now_ms = read_clock_ms()
redis.call('HSET', response_key, 'feedback_score', score, 'feedback_ms', now_ms)
if has_comment then
  redis.call('HSET', response_key, 'feedback_comment', comment)
else
  redis.call('HDEL', response_key, 'feedback_comment')
end
note_hash(prefix, response_key)
if timeline then wait_once_more(prefix, timeline) end
return now_ms
