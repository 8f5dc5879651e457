-- The follow-up questions that are kept for a response, or else what they are to be made from.
--
-- RETURNS {"kept", questions (JSON array)} | {"not_found"} unknown, not stored, or another owner's
--         | {"none", status, item, item, …}: the history with the response's own turn, newest item
--           first, within the budget but at least one; no items when a turn cannot continue from the response
-- INCLUDES statuses window
assert(#KEYS == 1 and #ARGV == 4)
local response_key = KEYS[1] -- hash
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local history_tokens = tonumber(ARGV[3]) -- budget
local history_bytes = tonumber(ARGV[4]) -- budget

-- The owner first: reading another's large response would take longer than finding none.
local found_owner, unstored, questions = unpack(redis.call('HMGET', response_key, 'owner', 'unstored', 'follow_ups'))
if found_owner ~= owner or unstored then return {'not_found'} end
if questions then return {'kept', questions} end
local status, timeline, position = unpack(redis.call('HMGET', response_key, 'status', 'timeline', 'position'))
local reply = {'none', status}
if not CONTINUABLE[status] then return reply end
position = tonumber(position)
if read_window(reply, prefix, timeline, position, history_tokens, math.huge, history_bytes) == 0 then
  read_window(reply, prefix, timeline, position, math.huge, 1, math.huge)
end
return reply
