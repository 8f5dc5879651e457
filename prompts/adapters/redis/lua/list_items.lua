-- One page of a conversation's items, over the timelines it was forked from.
--
-- RETURNS {"ok", 1 there is more | 0, item, item, …} | {"not_found"} | {"unknown_after"}
-- INCLUDES entries places timelines
assert(#KEYS == 1 and #ARGV == 6)
local conversation_key = KEYS[1] -- hash
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local limit = tonumber(ARGV[3]) -- size of the page
local order = ARGV[4] -- "asc" | "desc"
local after = ARGV[5] -- id of the item before the page; "": from the beginning
local max_bytes = tonumber(ARGV[6]) -- of the page, unless its first item alone is larger

local found_owner, conversation_timeline, head =
  unpack(redis.call('HMGET', conversation_key, 'owner', 'timeline', 'head'))
if found_owner ~= owner then return {'not_found'} end
head = tonumber(head)

-- The stretches that the history consists of, newest first: a timeline, and the positions of it that belong.
local stretches, timeline, last = {}, conversation_timeline, head
while timeline do
  local parent, parent_position = find_parent(prefix, timeline)
  stretches[#stretches + 1] = { timeline = timeline, first = parent_position + 1, last = last }
  timeline, last = parent, parent_position
end

local from = order == 'asc' and 1 or head
if after ~= '' then
  local item_timeline, position = find_place(prefix .. 'item:' .. after)
  if not is_in_history(prefix, conversation_timeline, head, item_timeline, position) then return {'unknown_after'} end
  from = order == 'asc' and position + 1 or position - 1
end

local reply, bytes = {'ok', 0}, 0

-- Add the stretch's items; false: the page is full.
local function add_from(stretch)
  local position, last, step = math.max(stretch.first, from), stretch.last, 1
  if order == 'desc' then position, last, step = math.min(stretch.last, from), stretch.first, -1 end
  if (last - position) * step < 0 then return true end
  local count = 1
  while position do
    local batch, next_position = read_batch(prefix, stretch.timeline, position, last, step, count)
    for _, entry in ipairs(batch) do
      local at, size, fields = entry[1], entry[3], entry[5]
      local is_full = #reply - 2 == limit or (#reply > 2 and bytes + size > max_bytes)
      if is_full then return false end
      bytes = bytes + size
      reply[#reply + 1] = fields and fields[4] or point_to(stretch.timeline, at, size)
    end
    position, count = next_position, bytes > LARGE_BYTES and 4 or math.min(count * 2, 32)
  end
  return true
end

local first, last, step = 1, #stretches, 1
if order == 'asc' then first, last, step = #stretches, 1, -1 end
for i = first, last, step do
  if not add_from(stretches[i]) then
    reply[2] = 1
    break
  end
end
return reply
