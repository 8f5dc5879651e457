-- Keep what could be asked after a response, unless something is kept already: of two that made some, the first counts.
--
-- KEYS 1 the response (hash)
-- ARGV 1 owner   2 questions (JSON array)
-- RETURNS the questions that are kept | false unknown, not stored, or another owner's
local resp_key, owner, questions = KEYS[1], ARGV[1], ARGV[2]

local resp = redis.call('HMGET', resp_key, 'owner', 'unstored')
if resp[1] ~= owner or resp[2] then return false end
redis.call('HSETNX', resp_key, 'follow_ups', questions)
return redis.call('HGET', resp_key, 'follow_ups')
