-- INCLUDES timelines
-- Calls are looked for on so many timelines of a history, its newest: what a fork of a fork of a fork … is behind them
-- is not answered any more.
local MAX_CALL_DEPTH = 16
-- Redis finds a field of a small hash by walking it: reading all of it once is quicker.
local MAX_SMALL = 512

-- The positions of some calls on a timeline, by their ids; maybe those of others too.
local function find_calls(prefix, timeline, call_ids)
  local calls_key, made_at = prefix .. 'tl:' .. timeline .. ':calls', {}
  local count = redis.call('HLEN', calls_key)
  if count == 0 then return made_at end
  if count > MAX_SMALL then
    for i, position in ipairs(redis.call('HMGET', calls_key, unpack(call_ids))) do made_at[call_ids[i]] = position end
    return made_at
  end
  local found = redis.call('HGETALL', calls_key)
  for i = 1, #found, 2 do made_at[found[i]] = found[i + 1] end
  return made_at
end

-- The calls of a list that the history which ends at a position of a timeline does not hold, in the list's order. One
-- pass, however many calls are looked for.
local function find_missing_calls(prefix, timeline, position, call_ids)
  local missing = call_ids
  for _ = 1, MAX_CALL_DEPTH do
    if not timeline or #missing == 0 then break end
    local made_at, left = find_calls(prefix, timeline, missing), {}
    for _, call_id in ipairs(missing) do
      if not made_at[call_id] or tonumber(made_at[call_id]) > position then left[#left + 1] = call_id end
    end
    missing = left
    timeline, position = find_parent(prefix, timeline)
  end
  return missing
end

