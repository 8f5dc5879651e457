-- INCLUDES timelines
-- The timeline that an item is on, and its position there; nil when there is no such item.
local function find_place(item_key)
  local place = redis.call('GET', item_key)
  if not place then return nil end
  local timeline, position = string.match(place, '^(%S+) (%d+)$')
  return timeline, tonumber(position)
end

-- Whether the history that ends at a position of a timeline holds an item's place; not when the item has none (nil).
local function is_in_history(prefix, timeline, position, item_timeline, item_position)
  while timeline and item_timeline do
    if timeline == item_timeline then return item_position <= position end
    timeline, position = find_parent(prefix, timeline)
  end
  return false
end

