-- Replace a conversation's metadata.
--
-- KEYS 1 the conversation (hash)
-- ARGV 1 owner   2 metadata (JSON)
-- RETURNS 1 replaced | 0 unknown, or another owner's
local conv_key = KEYS[1]
local owner, metadata = ARGV[1], ARGV[2]

if redis.call('HGET', conv_key, 'owner') ~= owner then return 0 end
redis.call('HSET', conv_key, 'metadata', metadata)
return 1
