-- What could be asked after a response: what is kept of that, or what it is to be made from.
--
-- KEYS 1 the response (hash)
-- ARGV 1 prefix of the partition's keys   2 owner   3 budget, tokens
-- RETURNS {"kept", questions (JSON array)} | {"not_found"} unknown, not stored, or another owner's
--         | {"none", status, echo, model request, item, item, …}: the history with the response's own turn, newest item
--           first, within the budget, and the newest in any case; without items unless its turn has joined a history
-- INCLUDES statuses window
local resp_key = KEYS[1]
local prefix, owner, budget = ARGV[1], ARGV[2], tonumber(ARGV[3])

local resp = redis.call('HMGET', resp_key, 'owner', 'unstored', 'follow_ups', 'status', 'echo', 'model_request', 'timeline',
  'position')
if resp[1] ~= owner or resp[2] then return {'not_found'} end
if resp[3] then return {'kept', resp[3]} end
local status, timeline, position = resp[4], resp[7], tonumber(resp[8])
local reply = {'none', status, resp[5], resp[6]}
if not CONTINUABLE[status] then return reply end
if read_window(reply, prefix, timeline, position, budget, math.huge) == 0 then
  read_window(reply, prefix, timeline, position, math.huge, 1)
end
return reply
