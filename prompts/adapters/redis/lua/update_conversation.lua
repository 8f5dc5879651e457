-- Replace a conversation's metadata, and its title when there is a new one.
--
-- RETURNS 1 replaced | 0 unknown, or another owner's
-- INCLUDES account letting_go outbox
assert(#KEYS == 1 and #ARGV == 5)
local conversation_key = KEYS[1] -- hash
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local metadata = ARGV[3] -- JSON
local title = ARGV[4] -- the new one; "" for none
local has_title = ARGV[5] == '1' -- false: the title stays as it is

local found_owner, timeline, former, former_title =
  unpack(redis.call('HMGET', conversation_key, 'owner', 'timeline', 'metadata', 'title'))
if found_owner ~= owner then return 0 end
local grown = #metadata - #(former or '') + (has_title and #title - #(former_title or '') or 0)
count_bytes(prefix, owner, prefix .. 'tl:' .. timeline .. ':meta', grown)
redis.call('HSET', conversation_key, 'metadata', metadata)
if has_title then redis.call('HSET', conversation_key, 'title', title) end
note_hash(prefix, conversation_key)
wait_once_more(prefix, timeline)
return 1
