-- One item of a conversation's history.
--
-- RETURNS {"ok", item} | {"not_found"} unknown conversation | {"unknown_item"}
-- INCLUDES entries places
assert(#KEYS == 2 and #ARGV == 2)
local conversation_key = KEYS[1] -- hash
local item_key = KEYS[2] -- string
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]

local found_owner, conversation_timeline, head =
  unpack(redis.call('HMGET', conversation_key, 'owner', 'timeline', 'head'))
if found_owner ~= owner then return {'not_found'} end
local timeline, position = find_place(item_key)
if not is_in_history(prefix, conversation_timeline, tonumber(head), timeline, position) then return {'unknown_item'} end
local entry = read_batch(prefix, timeline, position, position, 1, 1)[1]
if not entry then return {'unknown_item'} end
return {'ok', entry[5] and entry[5][4] or point_to(timeline, position, entry[3])}
