-- Take an active response from its run: the epoch rises, so that the run can write no more, and the log stays.
--
-- An epoch is a count and the id of the call that raised it: a fail-over may lose the raise, and then two calls raise
-- to the same count.
--
-- RETURNS {"seized", epoch, attempts, ending, created ms, owner, account, item, item, …}; the caller reads the rest:
--         the ending it is to have ("", "cancelled", "failed"), and its window, newest item first, empty when it is
--         cancelled; the same call again gives the same
--         | {"ended", status} | {"not_found"}
--         | {"alive"}: its run writes it, or somebody reads it, or another call is cancelling it
-- INCLUDES clock readers window
assert(#KEYS == 3 and #ARGV == 9)
local response_key = KEYS[1] -- hash
local leases_key = KEYS[2] -- sorted set, of the partition
local readers_key = KEYS[3] -- sorted set
local prefix = ARGV[1] -- of the partition's keys
local response_id = ARGV[2]
local canceller = ARGV[3] -- the owner who cancels it; "": a replica takes over what is lost
local lease_ms = tonumber(ARGV[4])
local replica_channels = ARGV[5] -- prefix of their names
local call_id = ARGV[6]
local replica_id = ARGV[7] -- the one that takes it
local spares = ARGV[8] -- of a cancel, what is left alone: "nothing" | "cancelled" (now, by others) | "followed" (as well)
local history_bytes = tonumber(ARGV[9]) -- budget of the window

local is_cancel = canceller ~= ''
local owner, status, epoch, former_replica, released, unstored, former_ending, yields =
  unpack(redis.call('HMGET', response_key, 'owner', 'status', 'epoch', 'replica', 'released', 'unstored', 'ending',
    'yields'))
if not owner or (is_cancel and (owner ~= canceller or unstored)) then
  if not is_cancel then redis.call('ZREM', leases_key, response_id) end
  return {'not_found'}
end
if status ~= 'in_progress' then
  redis.call('ZREM', leases_key, response_id)
  return {'ended', status}
end

epoch = epoch or ''
if string.match(epoch, '%.(%w+)$') ~= call_id then
  local now_ms = read_clock_ms()
  local is_leased = tonumber(redis.call('ZSCORE', leases_key, response_id) or 0) > now_ms
  if is_leased and not is_cancel then return {'alive'} end
  if former_ending == 'cancelled' then
    if is_leased and spares ~= 'nothing' then return {'alive'} end
  elseif spares == 'followed' and (not yields or is_followed(readers_key, now_ms)) then
    return {'alive'}
  end
  epoch = string.format('%d.%s', tonumber(string.match(epoch, '^%d+') or 0) + 1, call_id)
  redis.call('HSET', response_key, 'epoch', epoch, 'replica', replica_id)
  redis.call('ZADD', leases_key, now_ms + lease_ms, response_id)
  if is_cancel then
    -- Should this replica die now, the next one ends the response as cancelled.
    redis.call('HSET', response_key, 'ending', 'cancelled')
  elseif not released then
    redis.call('HINCRBY', response_key, 'attempts', 1) -- a run that handed it over does not count
  end
  redis.call('HDEL', response_key, 'released')
  redis.call('PUBLISH', replica_channels .. (former_replica or ''), response_id .. ' ' .. epoch)
end

local attempts, ending, created_ms, account, timeline, position =
  unpack(redis.call('HMGET', response_key, 'attempts', 'ending', 'created_ms', 'model_input', 'timeline', 'position'))
local reply = {'seized', epoch, tonumber(attempts) or 0, ending or '', tonumber(created_ms) or 0, owner, account}
if not is_cancel then
  -- What was given at admission; where an item of it was erased meanwhile, an older one only if it takes no more room.
  -- What cannot be read must not keep the response from its end.
  local is_read = pcall(function()
    local given = cjson.decode(account)
    read_window(reply, prefix, timeline, tonumber(position), given.history_tokens, given.history_items, history_bytes)
  end)
  if not is_read then reply[7] = '' end
end
return reply
