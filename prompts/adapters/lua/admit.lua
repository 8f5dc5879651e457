-- Admit a response: is its conversation free, then create it with its lease, and give back the window.
--
-- KEYS 1 the response (hash)   2 its event log (stream)   3 the partition's leases (zset)
--      4 its anchor: the conversation or the previous response (hash); the response itself when there is none
-- ARGV 1 prefix of the partition's keys   2 owner   3 response id   4 "conversation" | "previous" | "none"   5 anchor's id
--      6 echo (JSON)   7 input items (JSON)   8 lease, ms   9 history budget, tokens   10 model request (JSON)
-- RETURNS {"ok", created ms, epoch, item, item, …} (newest item first); the same call again gives the same
--         {"not_found"} | {"locked", active response id} | {"not_ended", status}
local resp_key, log_key, leases_key, anchor_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local prefix, owner, resp_id, anchor_kind, anchor_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local echo, input, lease_ms, budget, model_request = ARGV[6], ARGV[7], tonumber(ARGV[8]), tonumber(ARGV[9]), ARGV[10]

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)

-- Where the history is read from: nil when the turn may not begin, with the refusal as the second value.
local function find_base()
  if anchor_kind == 'none' then return { timeline = '', position = 0 } end
  if anchor_kind == 'previous' then
    local prev = redis.call('HMGET', anchor_key, 'owner', 'status', 'timeline', 'position')
    if prev[1] ~= owner then return nil, {'not_found'} end
    local status = prev[2]
    if status ~= 'completed' and status ~= 'incomplete' and status ~= 'cancelled' then return nil, {'not_ended', status} end
    return { timeline = prev[3], position = tonumber(prev[4]) }
  end
  local conv = redis.call('HMGET', anchor_key, 'owner', 'active', 'timeline', 'head')
  if conv[1] ~= owner then return nil, {'not_found'} end
  local active = conv[2]
  if active ~= '' then
    local deadline = tonumber(redis.call('ZSCORE', leases_key, active) or 0)
    if deadline > now_ms then return nil, {'locked', active} end
    -- Its replica is gone: the response ends here, so that the conversation can go on.
    local lost_key = prefix .. 'resp:' .. active
    redis.call('HSET', lost_key, 'status', 'failed')
    redis.call('HINCRBY', lost_key, 'epoch', 1)
    redis.call('ZREM', leases_key, active)
  end
  redis.call('HSET', anchor_key, 'active', resp_id, 'used_ms', now_ms)
  return { timeline = conv[3], position = tonumber(conv[4]) }
end

local timeline, position, created_ms
local born = redis.call('HMGET', resp_key, 'timeline', 'position', 'created_ms')
if born[3] then
  -- The client library asked again, because the first answer was lost on its way.
  timeline, position, created_ms = born[1], tonumber(born[2]), tonumber(born[3])
else
  local base, refusal = find_base()
  if not base then return refusal end
  timeline, position, created_ms = base.timeline, base.position, now_ms
  redis.call('HSET', resp_key, 'v', 1, 'owner', owner, 'status', 'in_progress', 'anchor_kind', anchor_kind,
    'anchor', anchor_id, 'echo', echo, 'input', input, 'model_request', model_request, 'epoch', 1,
    'created_ms', created_ms, 'timeline', timeline, 'position', position)
  -- Sequence numbers 0 and 1: response.created and response.in_progress, which follow from the echo alone.
  redis.call('XADD', log_key, '0-1', 's', '[]')
end
redis.call('ZADD', leases_key, now_ms + lease_ms, resp_id)

-- The window: newest first until the budget is spent, over forks to the timelines they came from.
local reply = {'ok', created_ms, 1}
local spent = 0
while timeline ~= '' do
  local upper = position
  while upper > 0 do
    local entries = redis.call('XREVRANGE', prefix .. 'tl:' .. timeline, upper .. '-0', '-', 'COUNT', 32)
    if #entries == 0 then break end
    for _, entry in ipairs(entries) do
      local fields = entry[2] -- i, item, t, tokens
      spent = spent + tonumber(fields[4])
      if spent > budget then return reply end
      reply[#reply + 1] = fields[2]
      upper = tonumber(string.match(entry[1], '^%d+')) - 1
    end
  end
  local meta = redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'parent', 'parent_position')
  timeline, position = meta[1] or '', tonumber(meta[2] or 0)
end
return reply
