-- One item of a conversation's history.
--
-- KEYS 1 the conversation (hash)   2 the item (string)
-- ARGV 1 prefix of the partition's keys   2 owner
-- RETURNS {"ok", item} | {"not_found"} unknown conversation | {"unknown_item"}
local conv_key, item_key, prefix, owner = KEYS[1], KEYS[2], ARGV[1], ARGV[2]

local conv = redis.call('HMGET', conv_key, 'owner', 'timeline', 'head')
if conv[1] ~= owner then return {'not_found'} end
local place = redis.call('GET', item_key)
if not place then return {'unknown_item'} end
local item_timeline, item_position = string.match(place, '^(%S+) (%d+)$')
local timeline, position = conv[2], tonumber(conv[3])
while timeline do
  if timeline == item_timeline and tonumber(item_position) <= position then
    local entry = redis.call('XRANGE', prefix .. 'tl:' .. timeline, item_position .. '-0', item_position .. '-0')[1]
    if entry then return {'ok', entry[2][4]} end
    return {'unknown_item'}
  end
  local meta = redis.call('HMGET', prefix .. 'tl:' .. timeline .. ':meta', 'parent', 'parent_position')
  timeline, position = meta[1], tonumber(meta[2] or 0)
end
return {'unknown_item'}
