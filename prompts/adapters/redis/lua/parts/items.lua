-- INCLUDES account large
-- What Redis reserves for a new stream, in bytes, however little is put into it.
local NEW_STREAM_BYTES = 4096

-- Give back what is reserved and not used: a copy takes as much as it holds, and grows with what is added to it.
local function tighten(timeline_key)
  local copy_key = timeline_key .. ':copy'
  redis.call('COPY', timeline_key, copy_key, 'REPLACE')
  redis.call('RENAME', copy_key, timeline_key)
end

-- Append items, each {id, item JSON, tokens, id of the call it makes or "", what is kept with it (JSON array) or ""}, to a
-- timeline of an owner that ends at a position.
-- RETURNS the position of the last one, which is the timeline's new length
local function append_items(prefix, owner, timeline, position, items)
  local timeline_key, bytes = prefix .. 'tl:' .. timeline, 0
  local is_new = redis.call('EXISTS', timeline_key) == 0
  for _, item in ipairs(items) do
    local id, json, tokens, call_id, kept = item[1], item[2], item[3], item[4], item[5]
    position, bytes = position + 1, bytes + #json + #kept
    if kept == '' then
      redis.call('XADD', timeline_key, position .. '-0', 'k', id, 'i', json, 't', tokens)
    else
      redis.call('XADD', timeline_key, position .. '-0', 'k', id, 'i', json, 't', tokens, 'w', kept)
    end
    redis.call('SET', prefix .. 'item:' .. id, timeline .. ' ' .. position)
    if call_id ~= '' then redis.call('HSETNX', timeline_key .. ':calls', call_id, position) end
    if #json + #kept > LARGE_BYTES then mark_large(timeline_key .. ':meta', position, tokens, #json + #kept, id) end
  end
  if is_new and bytes > 0 and bytes < NEW_STREAM_BYTES then tighten(timeline_key) end
  redis.call('HSET', timeline_key .. ':meta', 'length', position)
  if bytes > 0 then count_bytes(prefix, owner, timeline_key .. ':meta', bytes) end
  return position
end

