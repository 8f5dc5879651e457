-- One page of a conversation's items, over the timelines it was forked from.
--
-- RETURNS {"ok", item, item, …}, one more than the page when there is more | {"not_found"} | {"unknown_after"}
-- INCLUDES places timelines
assert(#KEYS == 1 and #ARGV == 5)
local conversation_key = KEYS[1] -- hash
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local limit = tonumber(ARGV[3]) -- size of the page
local order = ARGV[4] -- "asc" | "desc"
local after = ARGV[5] -- id of the item before the page; "": from the beginning

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

local reply = {'ok'}
local function add_from(stretch)
  local wanted = limit + 2 - #reply
  if wanted <= 0 then return end
  local command, first, last = 'XRANGE', math.max(stretch.first, from), stretch.last
  if order == 'desc' then command, first, last = 'XREVRANGE', math.min(stretch.last, from), stretch.first end
  local entries = redis.call(command, prefix .. 'tl:' .. stretch.timeline, first .. '-0', last .. '-0', 'COUNT', wanted)
  for _, entry in ipairs(entries) do reply[#reply + 1] = entry[2][4] end -- k, id, i, item
end

if order == 'asc' then
  for i = #stretches, 1, -1 do add_from(stretches[i]) end
else
  for i = 1, #stretches do add_from(stretches[i]) end
end
return reply
