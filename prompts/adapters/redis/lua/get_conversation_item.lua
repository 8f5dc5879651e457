-- One item of a conversation's history.
--
-- KEYS 1 the conversation (hash)   2 the item (string)
-- ARGV 1 prefix of the partition's keys   2 owner
-- RETURNS {"ok", item} | {"not_found"} unknown conversation | {"unknown_item"}
-- INCLUDES places
local conv_key, item_key, prefix, owner = KEYS[1], KEYS[2], ARGV[1], ARGV[2]

local conv = redis.call('HMGET', conv_key, 'owner', 'timeline', 'head')
if conv[1] ~= owner then return {'not_found'} end
local timeline, position = find_place(item_key)
if not timeline or not is_in_history(prefix, conv[2], tonumber(conv[3]), timeline, position) then
  return {'unknown_item'}
end
local entry = redis.call('XRANGE', prefix .. 'tl:' .. timeline, position .. '-0', position .. '-0')[1]
if not entry then return {'unknown_item'} end
return {'ok', entry[2][4]} -- k, id, i, item
