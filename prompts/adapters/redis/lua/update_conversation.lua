-- Replace a conversation's metadata, and its title when there is a new one.
--
-- KEYS 1 the conversation (hash)
-- ARGV 1 owner   2 metadata (JSON)   3 the new title, "" for none; left out: the title stays
-- RETURNS 1 replaced | 0 unknown, or another owner's
local conv_key = KEYS[1]
local owner, metadata, title = ARGV[1], ARGV[2], ARGV[3]

if redis.call('HGET', conv_key, 'owner') ~= owner then return 0 end
redis.call('HSET', conv_key, 'metadata', metadata)
if title then redis.call('HSET', conv_key, 'title', title) end
return 1
