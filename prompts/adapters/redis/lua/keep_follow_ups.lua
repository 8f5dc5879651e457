-- Keep the follow-up questions of a response, unless some are kept already: of two replicas, the first counts.
--
-- RETURNS the questions that are kept | false unknown, not stored, or another owner's
-- INCLUDES letting_go outbox
assert(#KEYS == 1 and #ARGV == 3)
local response_key = KEYS[1] -- hash
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local questions = ARGV[3] -- JSON array

local found_owner, unstored, timeline = unpack(redis.call('HMGET', response_key, 'owner', 'unstored', 'timeline'))
if found_owner ~= owner or unstored then return false end
if redis.call('HSETNX', response_key, 'follow_ups', questions) == 1 then
  note_hash(prefix, response_key)
  if timeline then wait_once_more(prefix, timeline) end
end
return redis.call('HGET', response_key, 'follow_ups')
