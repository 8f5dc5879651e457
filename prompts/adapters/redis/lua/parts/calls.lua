-- INCLUDES timelines
-- Whether the history that ends at a position of a timeline holds a function call with this id.
local function has_call(prefix, timeline, position, call_id)
  while timeline do
    local made_at = redis.call('HGET', prefix .. 'tl:' .. timeline .. ':calls', call_id)
    if made_at and tonumber(made_at) <= position then return true end
    timeline, position = find_parent(prefix, timeline)
  end
  return false
end

