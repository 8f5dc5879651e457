-- The timeline that a timeline was forked from, and the position up to which they share its history; false, 0: none.
local function find_parent(prefix, timeline)
  local meta = redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'parent', 'parent_position')
  return meta[1], tonumber(meta[2] or 0)
end

