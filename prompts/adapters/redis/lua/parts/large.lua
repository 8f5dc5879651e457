-- Large items are marked on their timeline's meta, so that no script has to read one to know what it takes: Lua would
-- copy it twice. A mark is "position:tokens:bytes:id"; the field `large:<n>` has those of BUCKET positions.
-- `adapters/redis/staging.py` writes the same.
local LARGE_BYTES = 65536
local BUCKET = 64

local function mark_large(meta_key, position, tokens, bytes, id)
  local field = 'large:' .. math.floor(position / BUCKET)
  local marks = redis.call('HGET', meta_key, field)
  redis.call('HSET', meta_key, field, (marks and marks .. ' ' or '') .. position .. ':' .. tokens .. ':' .. bytes .. ':' .. id)
end

local function unmark_large(meta_key, position)
  local field = 'large:' .. math.floor(position / BUCKET)
  local marks = redis.call('HGET', meta_key, field)
  if not marks then return end
  local kept = {}
  for mark in string.gmatch(marks, '%S+') do
    if tonumber(string.match(mark, '^%d+')) ~= position then kept[#kept + 1] = mark end
  end
  if #kept == 0 then
    redis.call('HDEL', meta_key, field)
  else
    redis.call('HSET', meta_key, field, table.concat(kept, ' '))
  end
end

-- The marks among the positions that share a field, by position; nil: none.
local function read_marks(meta_key, bucket)
  local marks = redis.call('HGET', meta_key, 'large:' .. bucket)
  if not marks then return nil end
  local found = {}
  for position, tokens, bytes, id in string.gmatch(marks, '(%d+):(%d+):(%d+):(%S+)') do
    found[tonumber(position)] = { tokens = tonumber(tokens), bytes = tonumber(bytes), id = id }
  end
  return found
end

-- What an item takes. A large one is not read.
local function find_size(prefix, timeline, position)
  local key = prefix .. 'tl:' .. timeline
  local marks = read_marks(key .. ':meta', math.floor(position / BUCKET))
  if marks and marks[position] then return marks[position].bytes end
  local entry = redis.call('XRANGE', key, position .. '-0', position .. '-0')[1]
  if not entry then return 0 end
  return #entry[2][4] + #(entry[2][8] or '') -- k, id, i, item, t, tokens, w, kept
end

-- What stands in a reply in place of a large item: the adapter reads it by a plain command.
local function point_to(timeline, position, bytes)
  return '@' .. timeline .. ' ' .. position .. ' ' .. bytes
end

