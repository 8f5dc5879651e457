-- INCLUDES entries timelines whole
-- Bytes of items that one script gives back by itself; more is more than a model reads.
local MAX_INLINE_BYTES = 2097152

-- Add to a reply the newest items of the history that ends at a position of a timeline, newest first: as many as fit a
-- budget (tokens), a count and so many bytes. It reads one item, then two, four …: never many more than it adds, however
-- long the history is. It takes the reply to add to, because `unpack` fails near 8,000 values.
-- RETURNS how many items, their tokens
local function read_window(reply, prefix, timeline, position, budget, max_items, max_bytes)
  local found, spent, bytes, inline_bytes = 0, 0, 0, 0
  while timeline do
    local count = 1
    while position and position > 0 do
      local batch, next_position = read_batch(prefix, timeline, position, 1, -1, count)
      local batch_bytes = 0
      for _, entry in ipairs(batch) do
        local at, tokens, size, fields = entry[1], entry[2], entry[3], entry[5]
        bytes, inline_bytes = bytes + size, inline_bytes + (fields and size or 0)
        if spent + tokens > budget or found == max_items or bytes > max_bytes or inline_bytes > MAX_INLINE_BYTES then
          return found, spent
        end
        spent, found, batch_bytes = spent + tokens, found + 1, batch_bytes + size
        reply[#reply + 1] = fields and read_whole(fields) or point_to(timeline, at, size)
      end
      position = next_position
      -- Older releases have marked no large items: one at a time, where there are some.
      count = batch_bytes > LARGE_BYTES and 1 or math.min(count * 2, 32)
    end
    timeline, position = find_parent(prefix, timeline)
  end
  return found, spent
end
