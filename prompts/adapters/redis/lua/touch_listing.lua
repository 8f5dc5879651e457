-- Move a conversation to the head of its owner's list.
--
-- RETURNS 1
-- INCLUDES clock
assert(#KEYS == 1 and #ARGV == 1)
local listing_key = KEYS[1] -- sorted set
local conversation_id = ARGV[1]

redis.call('ZADD', listing_key, read_clock_ms(), conversation_id)
return 1
