-- Keep the follow-up questions of a response, unless some are kept already: of two replicas, the first counts.
--
-- RETURNS the questions that are kept | false unknown, not stored, or another owner's
assert(#KEYS == 1 and #ARGV == 2)
local response_key = KEYS[1] -- hash
local owner = ARGV[1]
local questions = ARGV[2] -- JSON array

local found_owner, unstored = unpack(redis.call('HMGET', response_key, 'owner', 'unstored'))
if found_owner ~= owner or unstored then return false end
redis.call('HSETNX', response_key, 'follow_ups', questions)
return redis.call('HGET', response_key, 'follow_ups')
