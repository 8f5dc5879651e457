-- Take an active response out of its run's hands: the epoch rises, so that the run can write no more, and the log stands.
--
-- KEYS 1 the response (hash)   2 the partition's leases (zset)
-- ARGV 1 response id   2 owner ("" for the sweeper, which may seize only what is lost)   3 lease, ms
--      4 prefix of the replicas' channels   5 id of this call
-- RETURNS {"seized", epoch, replica, created ms, echo, input, owner}; the same call again gives the same
--         | {"ended", status} | {"not_found"} | {"alive"}
local resp_key, leases_key = KEYS[1], KEYS[2]
local resp_id, owner, lease_ms, channel_prefix, call_id = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

local resp = redis.call('HMGET', resp_key, 'owner', 'status', 'replica', 'created_ms', 'echo', 'input', 'seizure', 'epoch')
if not resp[1] or (owner ~= '' and resp[1] ~= owner) then
  if owner == '' then redis.call('ZREM', leases_key, resp_id) end
  return {'not_found'}
end
local function seized(epoch) return {'seized', epoch, resp[3], tonumber(resp[4]), resp[5], resp[6], resp[1]} end
if resp[2] ~= 'in_progress' then
  redis.call('ZREM', leases_key, resp_id)
  return {'ended', resp[2]}
end
if resp[7] == call_id then return seized(tonumber(resp[8])) end

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
if owner == '' and tonumber(redis.call('ZSCORE', leases_key, resp_id) or 0) > now_ms then return {'alive'} end

local epoch = redis.call('HINCRBY', resp_key, 'epoch', 1)
redis.call('HSET', resp_key, 'seizure', call_id)
redis.call('ZADD', leases_key, now_ms + lease_ms, resp_id)
redis.call('PUBLISH', channel_prefix .. resp[3], resp_id)
return seized(epoch)
