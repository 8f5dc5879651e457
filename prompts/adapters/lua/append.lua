-- Append one group of signals to a response's log, and renew the lease; a run that was taken over may not.
--
-- KEYS 1 the response (hash)   2 its event log (stream)   3 the partition's leases (zset)
-- ARGV 1 response id   2 epoch   3 lease, ms   4 last sequence number of the group   5 signals (JSON array; "" renews only)
--      6 the log's channel
-- RETURNS 1 written (or already there: a repeated call changes nothing) | 0 the run is stale
local resp_key, log_key, leases_key = KEYS[1], KEYS[2], KEYS[3]
local resp_id, epoch, lease_ms, last_number, signals, channel =
  ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5], ARGV[6]

local resp = redis.call('HMGET', resp_key, 'epoch', 'status')
if resp[1] ~= epoch or resp[2] ~= 'in_progress' then return 0 end

local clock = redis.call('TIME')
redis.call('ZADD', leases_key, clock[1] * 1000 + math.floor(clock[2] / 1000) + lease_ms, resp_id)
if signals ~= '' then
  local last = redis.call('XREVRANGE', log_key, '+', '-', 'COUNT', 1)[1]
  local written = last and tonumber(string.match(last[1], '%d+$')) or -1
  if written < last_number then
    redis.call('XADD', log_key, '0-' .. last_number, 's', signals)
    redis.call('PUBLISH', channel, last_number)
  end
end
return 1
