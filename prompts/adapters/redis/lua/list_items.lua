-- One page of a conversation's items, over the timelines it was forked from.
--
-- KEYS 1 the conversation (hash)
-- ARGV 1 prefix of the partition's keys   2 owner   3 page size   4 "asc" | "desc"   5 item id to begin after, or ""
-- RETURNS {"ok", item, item, …} (one more than the page, when there is more) | {"not_found"} | {"unknown_after"}
-- INCLUDES places timelines
local conv_key = KEYS[1]
local prefix, owner, limit, order, after = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

local conv = redis.call('HMGET', conv_key, 'owner', 'timeline', 'head')
if conv[1] ~= owner then return {'not_found'} end

-- The stretches the history consists of, newest first: a timeline, and the positions of it that belong.
local stretches, timeline, last = {}, conv[2], tonumber(conv[3])
while timeline do
  local parent, parent_position = find_parent(prefix, timeline)
  stretches[#stretches + 1] = { timeline = timeline, first = parent_position + 1, last = last }
  timeline, last = parent, parent_position
end

local from = order == 'asc' and 1 or stretches[1].last
if after ~= '' then
  local item_timeline, position = find_place(prefix .. 'item:' .. after)
  if not is_in_history(prefix, conv[2], tonumber(conv[3]), item_timeline, position) then return {'unknown_after'} end
  from = order == 'asc' and position + 1 or position - 1
end

local reply = {'ok'}
local function take(stretch)
  local key = prefix .. 'tl:' .. stretch.timeline
  local wanted = limit + 2 - #reply
  if wanted <= 0 then return end
  local entries
  if order == 'asc' then
    entries = redis.call('XRANGE', key, math.max(stretch.first, from) .. '-0', stretch.last .. '-0', 'COUNT', wanted)
  else
    entries = redis.call('XREVRANGE', key, math.min(stretch.last, from) .. '-0', stretch.first .. '-0', 'COUNT', wanted)
  end
  for _, entry in ipairs(entries) do reply[#reply + 1] = entry[2][4] end -- k, id, i, item
end

if order == 'asc' then
  for i = #stretches, 1, -1 do take(stretches[i]) end
else
  for i = 1, #stretches do take(stretches[i]) end
end
return reply
