-- A slice of the history that a turn would continue, newest first; nothing is changed.
--
-- KEYS 1 the anchor: the conversation or the previous response (hash)
-- ARGV 1 prefix of the partition's keys   2 owner   3 "conversation" | "previous"   4 timeline and 5 position to go on
--      from; "" and 0: at the end   6 what the slice may cost; an item costs 1
-- RETURNS {"ok", timeline, position, item, tokens, item, tokens, …}: where to go on, the timeline "" when there is no more
--         | {"not_found"} | {"not_ended", status}
-- INCLUDES statuses timelines
local anchor_key = KEYS[1]
local prefix, owner, anchor_kind, timeline, position = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local left = tonumber(ARGV[6])
-- Reading an item of this size costs about as much as finding one.
local BYTES_AN_ITEM = 4096

if anchor_kind == 'conversation' then
  local conv = redis.call('HMGET', anchor_key, 'owner', 'timeline', 'head')
  if conv[1] ~= owner then return {'not_found'} end
  if timeline == '' then timeline, position = conv[2], tonumber(conv[3]) end
else
  local prev = redis.call('HMGET', anchor_key, 'owner', 'status', 'timeline', 'position', 'unstored')
  if prev[1] ~= owner or prev[5] then return {'not_found'} end
  if not CONTINUABLE[prev[2]] then return {'not_ended', prev[2]} end
  if timeline == '' then timeline, position = prev[3], tonumber(prev[4]) end
end

local root = redis.call('HGET', prefix .. 'tl:' .. timeline .. ':meta', 'root')
if not root or redis.call('HEXISTS', prefix .. 'tl:' .. root .. ':meta', 'expiry') == 0 then return {'not_found'} end

local reply = {'ok', '', 0}
local count = 1
while timeline do
  while position > 0 do
    if left <= 0 then
      reply[2], reply[3] = timeline, position
      return reply
    end
    local entries = redis.call('XREVRANGE', prefix .. 'tl:' .. timeline, position .. '-0', '-', 'COUNT', count)
    if #entries == 0 then break end
    for _, entry in ipairs(entries) do
      local fields = entry[2] -- k, id, i, item, t, tokens
      reply[#reply + 1] = fields[4]
      reply[#reply + 1] = tonumber(fields[6])
      left = left - 1 - #fields[4] / BYTES_AN_ITEM
      position = tonumber(string.match(entry[1], '^%d+')) - 1
    end
    count = math.min(count * 2, 32) -- one at first: items may be large
  end
  timeline, position = find_parent(prefix, timeline)
end
return reply
