-- INCLUDES timelines whole
-- Add to a reply the newest items of the history that ends at a position of a timeline, newest first: as many as fit a
-- budget (tokens) and a count. It reads one item, then two, four …: never many more than it adds, however long the
-- history is. It takes the reply to add to, because `unpack` fails near 8,000 values.
-- RETURNS how many items, their tokens
local function read_window(reply, prefix, timeline, position, budget, max_items)
  local found, spent, count = 0, 0, 1
  while timeline do
    while position > 0 and found < max_items do
      local entries = redis.call('XREVRANGE', prefix .. 'tl:' .. timeline, position .. '-0', '-', 'COUNT', count)
      if #entries == 0 then break end
      for _, entry in ipairs(entries) do
        local fields = entry[2] -- k, id, i, item, t, tokens, …
        local tokens = tonumber(fields[6])
        if spent + tokens > budget or found == max_items then return found, spent end
        spent, found = spent + tokens, found + 1
        reply[#reply + 1] = read_whole(fields)
        position = tonumber(string.match(entry[1], '^%d+')) - 1
      end
      count = math.min(count * 2, 32)
    end
    timeline, position = find_parent(prefix, timeline)
  end
  return found, spent
end

