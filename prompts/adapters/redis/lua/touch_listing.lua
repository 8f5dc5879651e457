-- Move a conversation to the head of its owner's list.
--
-- KEYS 1 the owner's listing (zset)
-- ARGV 1 conversation id
-- RETURNS 1
local clock = redis.call('TIME')
redis.call('ZADD', KEYS[1], clock[1] * 1000 + math.floor(clock[2] / 1000), ARGV[1])
return 1
