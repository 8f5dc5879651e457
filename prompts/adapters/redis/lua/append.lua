-- Append groups of signals to the logs of responses, and renew leases. A run that was taken over cannot.
--
-- What it takes comes once a group. RETURNS a place (from 0) and an answer, of each group that is not just written:
--         0 the run is stale | 1 it is written, and processes watch the log
--         | -N the log ends at the number N, before the group begins: a fail-over has lost the log's end
--         All others are written, or were written before by the same call.
--
-- `extras`: how long the lease is to be, in ms (0: it was renewed of late); whether those who watch are told (1 | 0); and
-- the waypoint (JSON: from where the log can be told; "": this group has none).
assert(#KEYS % 2 == 0 and #ARGV == #KEYS / 2 * 5)
-- This script runs the most: no functions, and nothing that is not needed for every group.
local call, answers, a = redis.call, {}, 0
for k = 0, #KEYS - 1, 2 do
  local response_key = KEYS[k + 1] -- hash
  local log_key = KEYS[k + 2] -- stream: its event log
  local epoch = ARGV[a + 1]
  local after = ARGV[a + 2] -- last sequence number before the group
  local last_number = ARGV[a + 3] -- last sequence number of the group
  local signals = ARGV[a + 4] -- JSON array; "": the lease alone is renewed
  local extras = ARGV[a + 5] -- what few groups have; or "" for "0 0 "

  local found, answer = call('HMGET', response_key, 'epoch', 'status', 'logged'), nil
  local logged = found[3]
  local is_ours = found[1] == epoch and found[2] == 'in_progress'
  if is_ours and logged ~= after then
    -- The group was written before, or the log's end is lost; or a later release has left the end to the log alone.
    local newest = call('XREVRANGE', log_key, '+', '-', 'COUNT', 1)[1]
    logged = math.max(tonumber(logged or 0), newest and tonumber(string.match(newest[1], '%d+$')) or 0)
  end
  if not is_ours then
    answer = 0
  elseif logged ~= after and logged < tonumber(after) then
    answer = -logged
  else
    local prefix, response_id, lease_ms, is_told, waypoint
    if extras ~= '' then
      prefix, response_id = string.match(response_key, '^(.-)resp:(.*)$')
      lease_ms, is_told, waypoint = string.match(extras, '^(%d+) (%d) (.*)$')
      if lease_ms ~= '0' then
        local clock = call('TIME')
        call('ZADD', prefix .. 'leases', clock[1] * 1000 + math.floor(clock[2] / 1000) + lease_ms, response_id)
      end
    end
    if signals ~= '' and (logged == after or logged < tonumber(last_number)) then
      if waypoint and waypoint ~= '' then
        call('XADD', log_key, '0-' .. last_number, 's', signals, 'w', waypoint)
      else
        call('XADD', log_key, '0-' .. last_number, 's', signals)
      end
      call('HSET', response_key, 'logged', last_number)
      if is_told == '1' and call('PUBLISH', prefix .. 'grown:' .. response_id, last_number) > 0 then answer = 1 end
    end
  end
  if answer then
    answers[#answers + 1] = k / 2
    answers[#answers + 1] = answer
  end
  a = a + 5
end
return answers
