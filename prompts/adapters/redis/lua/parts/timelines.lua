-- The timeline that a timeline was forked from, and the position up to which they share its history; false, 0: none.
local function find_parent(prefix, timeline)
  local meta = redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'parent', 'parent_position')
  return meta[1], tonumber(meta[2] or 0)
end


-- Let a timeline be erased with a root. The root counts them, to tell whether any response of it is left.
local function add_branch(prefix, root, timeline)
  redis.call('SADD', prefix .. 'tl:' .. root .. ':parts', 'tl:' .. timeline)
  redis.call('HINCRBY', prefix .. 'tl:' .. root .. ':meta', 'branches', 1)
end

-- The timelines that one history may stand on, one behind the other: every look into a history may walk them all.
-- 256 steps take about as many microseconds.
local MAX_DEPTH = 256

-- On how many timelines a history stands: 1 and what was kept with the timeline when it was made. Those of older
-- releases kept nothing: they are counted, as far as it matters.
local function find_depth(prefix, timeline)
  local depth = 1
  while depth <= MAX_DEPTH do
    local parent, kept = unpack(redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'parent', 'depth'))
    if kept then return depth + tonumber(kept) - 1 end
    if not parent then break end
    timeline, depth = parent, depth + 1
  end
  return depth
end

