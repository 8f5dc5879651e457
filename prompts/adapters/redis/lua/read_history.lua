-- One slice of the history that a turn would continue, newest item first. Nothing is changed.
--
-- RETURNS {"ok", timeline, position, item, tokens, item, tokens, …}: where the next slice begins; timeline "": nowhere
--         | {"not_found"} | {"not_ended", status}
-- INCLUDES entries statuses timelines whole
assert(#KEYS == 1 and #ARGV == 6)
local anchor_key = KEYS[1] -- hash: the conversation or the previous response
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local anchor_kind = ARGV[3] -- "conversation" | "previous"
local timeline = ARGV[4] -- id of the one to begin on; "": at the end of the history
local position = tonumber(ARGV[5]) -- where to begin on that timeline
local max_cost = tonumber(ARGV[6]) -- of the slice: an item costs 1, and more when it is large

-- Reading an item of this size costs about as much as finding one.
local BYTES_AN_ITEM = 4096

local found_owner, end_timeline, end_position
if anchor_kind == 'conversation' then
  found_owner, end_timeline, end_position = unpack(redis.call('HMGET', anchor_key, 'owner', 'timeline', 'head'))
  if found_owner ~= owner then return {'not_found'} end
else
  local status, unstored
  found_owner, end_timeline, end_position, status, unstored =
    unpack(redis.call('HMGET', anchor_key, 'owner', 'timeline', 'position', 'status', 'unstored'))
  if found_owner ~= owner or unstored then return {'not_found'} end
  if not CONTINUABLE[status] then return {'not_ended', status} end
end
if timeline == '' then timeline, position = end_timeline, tonumber(end_position) end

local root = redis.call('HGET', prefix .. 'tl:' .. timeline .. ':meta', 'root')
if not root or redis.call('HEXISTS', prefix .. 'tl:' .. root .. ':meta', 'expiry') == 0 then return {'not_found'} end

local reply = {'ok', '', 0}
local left = max_cost
local count = 1
while timeline do
  while position and position > 0 do
    if left <= 0 then
      reply[2], reply[3] = timeline, position
      return reply
    end
    local batch, next_position = read_batch(prefix, timeline, position, 1, -1, count)
    for _, entry in ipairs(batch) do
      local at, tokens, size, fields = entry[1], entry[2], entry[3], entry[5]
      reply[#reply + 1] = fields and read_whole(fields) or point_to(timeline, at, size)
      reply[#reply + 1] = tokens
      left = left - 1 - (fields and size or 0) / BYTES_AN_ITEM
    end
    position = next_position
    count = math.min(count * 2, 32) -- one at first: older releases have marked no large items
  end
  timeline, position = find_parent(prefix, timeline)
end
return reply
