-- Append one group of signals to a response's log, and renew its lease. A run that was taken over cannot.
--
-- RETURNS 1 written, or written before by the same call | 0 the run is stale
--         | -N the log ends at the number N, before the group begins: a fail-over has lost the log's end
assert(#KEYS == 3 and #ARGV == 8)
local response_key = KEYS[1] -- hash
local log_key = KEYS[2] -- stream: its event log
local leases_key = KEYS[3] -- sorted set, of the partition
local response_id = ARGV[1]
local epoch = ARGV[2]
local lease_ms = tonumber(ARGV[3])
local after = tonumber(ARGV[4]) -- last sequence number before the group
local last_number = tonumber(ARGV[5]) -- last sequence number of the group
local signals = ARGV[6] -- JSON array; "": renew the lease only
local waypoint = ARGV[7] -- JSON: from where the log can be told; "": this group has none
local log_channel = ARGV[8]

local found_epoch, status, logged = unpack(redis.call('HMGET', response_key, 'epoch', 'status', 'logged'))
if found_epoch ~= epoch or status ~= 'in_progress' then return 0 end
logged = tonumber(logged)
if logged < after then return -logged end

local clock = redis.call('TIME') -- not by its part: this script runs the most, and a function costs it 2 %
redis.call('ZADD', leases_key, clock[1] * 1000 + math.floor(clock[2] / 1000) + lease_ms, response_id)
if signals ~= '' and logged < last_number then
  if waypoint == '' then
    redis.call('XADD', log_key, '0-' .. last_number, 's', signals)
  else
    redis.call('XADD', log_key, '0-' .. last_number, 's', signals, 'w', waypoint)
  end
  redis.call('HSET', response_key, 'logged', last_number)
  redis.call('PUBLISH', log_channel, last_number)
end
return 1
