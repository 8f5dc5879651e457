-- INCLUDES large
local function read_range(timeline_key, from, to, step, count)
  if step > 0 then
    return redis.call('XRANGE', timeline_key, from .. '-0', to == math.huge and '+' or to .. '-0', 'COUNT', count)
  end
  return redis.call('XREVRANGE', timeline_key, from .. '-0', to .. '-0', 'COUNT', count)
end

local function get_position(entry)
  return tonumber(string.match(entry[1], '^%d+'))
end

-- Some entries of a timeline, from a position on towards another one (`step`: 1 upwards, -1 downwards), as many as `count`
-- or fewer. A large item is not read: its entry has no fields.
-- RETURNS array of {position, tokens, bytes, id, fields}, where to go on | nil: there is nothing more
local function read_batch(prefix, timeline, from, to, step, count)
  local key = prefix .. 'tl:' .. timeline
  local bucket = math.floor(from / BUCKET)
  local marks = read_marks(key .. ':meta', bucket)
  local edge = step > 0 and math.min(to, (bucket + 1) * BUCKET - 1) or math.max(to, bucket * BUCKET)
  if marks then
    local mark = marks[from]
    if mark then return {{ from, mark.tokens, mark.bytes, mark.id }}, from + step end
    for position in pairs(marks) do
      if (position - from) * step > 0 and (edge - position) * step >= 0 then edge = position - step end
    end
  end
  local entries, batch = read_range(key, from, edge, step, count), {}
  for i, entry in ipairs(entries) do
    local fields = entry[2] -- k, id, i, item, t, tokens, and where something is kept w, kept (JSON array)
    batch[i] = { get_position(entry), tonumber(fields[6]), #fields[4] + #(fields[8] or ''), fields[2], fields }
  end
  if #batch == count then return batch, batch[count][1] + step end
  local next_position = edge + step
  if (to - next_position) * step < 0 then return batch, nil end
  if #batch == 0 then -- a gap: items were deleted, maybe very many
    local beyond = read_range(key, next_position, to, step, 1)[1]
    next_position = beyond and get_position(beyond)
  end
  return batch, next_position
end

