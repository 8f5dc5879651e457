-- Take an active response out of its run's hands: the epoch rises, so that the run can write no more, and the log stands.
--
-- KEYS 1 the response (hash)   2 the partition's leases (zset)
-- ARGV 1 prefix of the partition's keys   2 response id   3 owner, who cancels it; "" for who takes over what is lost
--      4 lease, ms   5 prefix of the replicas' channels   6 id of this call   7 the replica that takes it
-- RETURNS {"seized", epoch, attempts, ending, created ms, owner, echo, input, model request, account, item, item, …}: the
--         ending it was to have ("", "cancelled", "failed"), the window newest first, empty for who cancels;
--         the same call again gives the same
--         | {"ended", status} | {"not_found"} | {"alive"}
-- INCLUDES clock window
--
-- An epoch is a count and the call that raised it: a fail-over may lose the raise, and two calls the same count.
local resp_key, leases_key = KEYS[1], KEYS[2]
local prefix, resp_id, owner, lease_ms, channels = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), ARGV[5]
local call_id, taker = ARGV[6], ARGV[7]
local is_cancel = owner ~= ''

local resp = redis.call('HMGET', resp_key, 'owner', 'status', 'epoch', 'replica', 'released', 'unstored')
if not resp[1] or (is_cancel and (resp[1] ~= owner or resp[6])) then
  if not is_cancel then redis.call('ZREM', leases_key, resp_id) end
  return {'not_found'}
end
if resp[2] ~= 'in_progress' then
  redis.call('ZREM', leases_key, resp_id)
  return {'ended', resp[2]}
end

local epoch = resp[3]
if string.match(epoch, '%.(%w+)$') ~= call_id then
  local now_ms = read_clock_ms()
  if not is_cancel and tonumber(redis.call('ZSCORE', leases_key, resp_id) or 0) > now_ms then return {'alive'} end
  epoch = string.format('%d.%s', tonumber(string.match(epoch, '^%d+')) + 1, call_id)
  redis.call('HSET', resp_key, 'epoch', epoch, 'replica', taker)
  redis.call('ZADD', leases_key, now_ms + lease_ms, resp_id)
  if is_cancel then
    redis.call('HSET', resp_key, 'ending', 'cancelled') -- should this replica die now, the next one ends it so
  elseif not resp[5] then
    redis.call('HINCRBY', resp_key, 'attempts', 1) -- what was handed over has lost nobody
  end
  redis.call('HDEL', resp_key, 'released')
  redis.call('PUBLISH', channels .. resp[4], resp_id .. ' ' .. epoch)
end

local fields = redis.call('HMGET', resp_key, 'attempts', 'ending', 'created_ms', 'echo', 'input', 'model_request',
  'model_input', 'timeline', 'position')
local reply = {'seized', epoch, tonumber(fields[1]), fields[2] or '', tonumber(fields[3]), resp[1], fields[4], fields[5],
  fields[6], fields[7]}
if not is_cancel then
  -- What was given at admission; where an item of it was erased meanwhile, an older one only if it takes no more room.
  local given = cjson.decode(fields[7])
  read_window(reply, prefix, fields[8], tonumber(fields[9]), given.history_tokens, given.history_items)
end
return reply
