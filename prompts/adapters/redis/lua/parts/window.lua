-- The newest items of a timeline up to a position, over forks to the timelines they came from: as many as fit the budget
-- (tokens) and the count. It reads one item, then two, four …: never many more than it gives back, however long the
-- history is. Their JSON is added to a reply, newest first: a reply may hold more than `unpack` can give.
-- RETURNS how many items, their tokens
local function read_window(reply, prefix, timeline, position, budget, max_items)
  local found, spent, at, count = 0, 0, position, 1
  while timeline do
    while at > 0 and found < max_items do
      local entries = redis.call('XREVRANGE', prefix .. 'tl:' .. timeline, at .. '-0', '-', 'COUNT', count)
      if #entries == 0 then break end
      for _, entry in ipairs(entries) do
        local fields = entry[2] -- k, id, i, item, t, tokens
        local tokens = tonumber(fields[6])
        if spent + tokens > budget or found == max_items then return found, spent end
        spent, found = spent + tokens, found + 1
        reply[#reply + 1] = fields[4]
        at = tonumber(string.match(entry[1], '^%d+')) - 1
      end
      count = math.min(count * 2, 32)
    end
    local meta = redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'parent', 'parent_position')
    timeline, at = meta[1], tonumber(meta[2] or 0)
  end
  return found, spent
end

