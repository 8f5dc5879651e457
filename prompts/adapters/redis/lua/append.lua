-- Append groups of signals to the logs of responses, and renew leases. A run that was taken over cannot.
--
-- What it takes comes once a group. RETURNS an answer a group, in their order:
--         1 written, or written before by the same call | 0 the run is stale
--         | -N the log ends at the number N, before the group begins: a fail-over has lost the log's end
assert(#KEYS % 3 == 0 and #ARGV == #KEYS / 3 * 6)
-- This script runs the most: no functions, and nothing that is not needed for every group.
local call, answers, a, clock = redis.call, {}, 0, redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
for k = 0, #KEYS - 1, 3 do
  local response_key = KEYS[k + 1] -- hash
  local log_key = KEYS[k + 2] -- stream: its event log
  local leases_key = KEYS[k + 3] -- sorted set, of the partition
  local epoch = ARGV[a + 1]
  local lease_ms = tonumber(ARGV[a + 2])
  local after = tonumber(ARGV[a + 3]) -- last sequence number before the group
  local last_number = ARGV[a + 4] -- last sequence number of the group
  local signals = ARGV[a + 5] -- JSON array; "": the lease alone is renewed
  local waypoint = ARGV[a + 6] -- JSON: from where the log can be told; "": this group has none

  -- What follows from the keys is not asked for: each argument costs more. `leases` is a letter longer than `resp:`.
  local response_id = string.sub(response_key, #leases_key)
  local found = call('HMGET', response_key, 'epoch', 'status', 'logged')
  local logged, answer = tonumber(found[3]), 1
  if found[1] ~= epoch or found[2] ~= 'in_progress' then
    answer = 0
  elseif logged < after then
    answer = -logged
  else
    -- A look costs less than a renewal, which is a write: so a tenth of the lease may be over.
    local left_ms = (call('ZSCORE', leases_key, response_id) or 0) - now_ms
    if left_ms < 0.9 * lease_ms or left_ms > lease_ms then
      call('ZADD', leases_key, now_ms + lease_ms, response_id)
    end
    if signals ~= '' and logged < tonumber(last_number) then
      if waypoint == '' then
        call('XADD', log_key, '0-' .. last_number, 's', signals)
      else
        call('XADD', log_key, '0-' .. last_number, 's', signals, 'w', waypoint)
      end
      call('HSET', response_key, 'logged', last_number)
      call('PUBLISH', string.sub(leases_key, 1, -7) .. 'grown:' .. response_id, last_number)
    end
  end
  answers[#answers + 1] = answer
  a = a + 6
end
return answers
