-- Take an active response from its run: the epoch rises, so that the run can write no more, and the log stays.
--
-- An epoch is a count and the id of the call that raised it: a fail-over may lose the raise, and then two calls raise
-- to the same count.
--
-- RETURNS {"seized", epoch, attempts, ending, created ms, owner, echo, input, model request, account, item, item, …}:
--         the ending it is to have ("", "cancelled", "failed"), and its window, newest item first, empty when it is
--         cancelled; the same call again gives the same
--         | {"ended", status} | {"not_found"} | {"alive"}
-- INCLUDES clock window
assert(#KEYS == 2 and #ARGV == 7)
local response_key = KEYS[1] -- hash
local leases_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local response_id = ARGV[2]
local canceller = ARGV[3] -- the owner who cancels it; "": a replica takes over what is lost
local lease_ms = tonumber(ARGV[4])
local replica_channels = ARGV[5] -- prefix of their names
local call_id = ARGV[6]
local replica_id = ARGV[7] -- the one that takes it

local is_cancel = canceller ~= ''
local owner, status, epoch, former_replica, released, unstored =
  unpack(redis.call('HMGET', response_key, 'owner', 'status', 'epoch', 'replica', 'released', 'unstored'))
if not owner or (is_cancel and (owner ~= canceller or unstored)) then
  if not is_cancel then redis.call('ZREM', leases_key, response_id) end
  return {'not_found'}
end
if status ~= 'in_progress' then
  redis.call('ZREM', leases_key, response_id)
  return {'ended', status}
end

if string.match(epoch, '%.(%w+)$') ~= call_id then
  local now_ms = read_clock_ms()
  if not is_cancel and tonumber(redis.call('ZSCORE', leases_key, response_id) or 0) > now_ms then return {'alive'} end
  epoch = string.format('%d.%s', tonumber(string.match(epoch, '^%d+')) + 1, call_id)
  redis.call('HSET', response_key, 'epoch', epoch, 'replica', replica_id)
  redis.call('ZADD', leases_key, now_ms + lease_ms, response_id)
  if is_cancel then
    -- Should this replica die now, the next one ends the response as cancelled.
    redis.call('HSET', response_key, 'ending', 'cancelled')
  elseif not released then
    redis.call('HINCRBY', response_key, 'attempts', 1) -- a run that handed it over does not count
  end
  redis.call('HDEL', response_key, 'released')
  redis.call('PUBLISH', replica_channels .. former_replica, response_id .. ' ' .. epoch)
end

local attempts, ending, created_ms, echo, input, model_request, account, timeline, position =
  unpack(redis.call('HMGET', response_key, 'attempts', 'ending', 'created_ms', 'echo', 'input', 'model_request',
    'model_input', 'timeline', 'position'))
local reply = {'seized', epoch, tonumber(attempts), ending or '', tonumber(created_ms), owner, echo, input,
  model_request, account}
if not is_cancel then
  -- What was given at admission; where an item of it was erased meanwhile, an older one only if it takes no more room.
  local given = cjson.decode(account)
  read_window(reply, prefix, timeline, tonumber(position), given.history_tokens, given.history_items)
end
return reply
