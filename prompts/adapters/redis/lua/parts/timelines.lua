-- The timeline that a timeline was forked from, and how many of its items they share; false and 0 without a parent.
local function find_parent(prefix, timeline)
  local meta = redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'parent', 'parent_position')
  return meta[1], tonumber(meta[2] or 0)
end

