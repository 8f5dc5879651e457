-- Erase one item of a conversation's history. Forks that share it lose it too.
--
-- RETURNS 1 erased; the same call again says the same | 0 unknown conversation | -1 unknown item
-- INCLUDES account large outbox places
assert(#KEYS == 2 and #ARGV == 5)
local conversation_key = KEYS[1] -- hash
local item_key = KEYS[2] -- string
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local item_id = ARGV[3]
local call_id = ARGV[4]
local call_kept_s = ARGV[5] -- how long the call's id is kept

local found_owner, conversation_timeline, head =
  unpack(redis.call('HMGET', conversation_key, 'owner', 'timeline', 'head'))
if found_owner ~= owner then return 0 end
local timeline, position = find_place(item_key)
if not timeline then return redis.call('GET', prefix .. 'gone:' .. item_id) == call_id and 1 or -1 end
if not is_in_history(prefix, conversation_timeline, tonumber(head), timeline, position) then return -1 end
local meta_key = prefix .. 'tl:' .. timeline .. ':meta'
local counted = tonumber(redis.call('HGET', meta_key, 'bytes'))
-- No more than was counted: an earlier release may have kept this item, and this one those beside it.
local bytes = counted and math.min(find_size(prefix, timeline, position), counted)
-- What frees memory comes first: then Redis, when it is full, lets the script do the rest as well.
redis.call('XDEL', prefix .. 'tl:' .. timeline, position .. '-0')
redis.call('DEL', item_key)
if bytes then
  redis.call('HINCRBY', meta_key, 'bytes', -bytes)
  free_bytes(prefix, owner, bytes)
end
unmark_large(meta_key, position)
redis.call('SET', prefix .. 'gone:' .. item_id, call_id, 'EX', call_kept_s)
note_change(prefix, 'gone:item:' .. item_id)
return 1
