-- Append one group of signals to a response's log, and renew the lease; a run that was taken over may not.
--
-- KEYS 1 the response (hash)   2 its event log (stream)   3 the partition's leases (zset)
-- ARGV 1 response id   2 epoch   3 lease, ms   4 last sequence number before the group   5 last one of the group
--      6 signals (JSON array; "" renews only)   7 the log's channel
-- RETURNS 1 written (or already there: a repeated call changes nothing) | 0 the run is stale
--         | -N the log ends at the number N, before the group's beginning: a fail-over has lost its tail
-- INCLUDES clock
local resp_key, log_key, leases_key = KEYS[1], KEYS[2], KEYS[3]
local resp_id, epoch, lease_ms, after, last_number = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local signals, channel = ARGV[6], ARGV[7]

local resp = redis.call('HMGET', resp_key, 'epoch', 'status', 'logged')
if resp[1] ~= epoch or resp[2] ~= 'in_progress' then return 0 end
local logged = tonumber(resp[3])
if logged < after then return -logged end

redis.call('ZADD', leases_key, read_clock_ms() + lease_ms, resp_id)
if signals ~= '' and logged < last_number then
  redis.call('XADD', log_key, '0-' .. last_number, 's', signals)
  redis.call('HSET', resp_key, 'logged', last_number)
  redis.call('PUBLISH', channel, last_number)
end
return 1
