-- Erase one item of a conversation's history; forks that share it lose it too.
--
-- KEYS 1 the conversation (hash)   2 the item (string)
-- ARGV 1 prefix of the partition's keys   2 owner   3 item id   4 id of this call   5 how long that is kept, s
-- RETURNS 1 erased (the same call again says the same) | 0 unknown conversation | -1 unknown item
-- INCLUDES places
local conv_key, item_key = KEYS[1], KEYS[2]
local prefix, owner, item_id, call_id, kept_s = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local conv = redis.call('HMGET', conv_key, 'owner', 'timeline', 'head')
if conv[1] ~= owner then return 0 end
local timeline, position = find_place(item_key)
if not timeline then return redis.call('GET', prefix .. 'gone:' .. item_id) == call_id and 1 or -1 end
if not is_in_history(prefix, conv[2], tonumber(conv[3]), timeline, position) then return -1 end
redis.call('XDEL', prefix .. 'tl:' .. timeline, position .. '-0')
redis.call('DEL', item_key)
redis.call('SET', prefix .. 'gone:' .. item_id, call_id, 'EX', kept_s)
return 1
