-- Move a conversation to the head of its owner's list.
--
-- KEYS 1 the owner's listing (zset)
-- ARGV 1 conversation id
-- RETURNS 1
-- INCLUDES clock
redis.call('ZADD', KEYS[1], read_clock_ms(), ARGV[1])
return 1
