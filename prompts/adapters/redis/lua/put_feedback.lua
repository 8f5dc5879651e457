-- Keep what a person thinks of a response, in place of what they thought before.
--
-- KEYS 1 the response (hash)
-- ARGV 1 owner   2 score   3 comment   4 1: there is a comment | 0: there is none
-- RETURNS when it was said, ms | 0 unknown, not stored, or another owner's
-- INCLUDES clock
local resp_key = KEYS[1]
local owner, score, comment, has_comment = ARGV[1], ARGV[2], ARGV[3], ARGV[4] == '1'

local resp = redis.call('HMGET', resp_key, 'owner', 'unstored')
if resp[1] ~= owner or resp[2] then return 0 end
local now_ms = read_clock_ms()
redis.call('HSET', resp_key, 'feedback_score', score, 'feedback_ms', now_ms)
if has_comment then
  redis.call('HSET', resp_key, 'feedback_comment', comment)
else
  redis.call('HDEL', resp_key, 'feedback_comment')
end
return now_ms
