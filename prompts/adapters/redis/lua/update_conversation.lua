-- Replace a conversation's metadata, and its title when there is a new one.
--
-- RETURNS 1 replaced | 0 unknown, or another owner's
assert(#KEYS == 1 and #ARGV == 4)
local conversation_key = KEYS[1] -- hash
local owner = ARGV[1]
local metadata = ARGV[2] -- JSON
local title = ARGV[3] -- the new one; "" for none
local has_title = ARGV[4] == '1' -- false: the title stays as it is

if redis.call('HGET', conversation_key, 'owner') ~= owner then return 0 end
redis.call('HSET', conversation_key, 'metadata', metadata)
if has_title then redis.call('HSET', conversation_key, 'title', title) end
return 1
