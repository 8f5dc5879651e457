-- Whether somebody has called this function on a timeline up to a position, or on those it was forked from.
local function has_call(prefix, timeline, position, call_id)
  while timeline do
    local made_at = redis.call('HGET', prefix .. 'tl:' .. timeline .. ':calls', call_id)
    if made_at and tonumber(made_at) <= position then return true end
    local meta = redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'parent', 'parent_position')
    timeline, position = meta[1], tonumber(meta[2] or 0)
  end
  return false
end

