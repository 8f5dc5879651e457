-- Remove the mark of a reader, and tell whoever watches the response.
--
-- RETURNS 1; the same call again tells it again
assert(#KEYS == 1 and #ARGV == 3)
local readers_key = KEYS[1] -- sorted set
local reader_id = ARGV[1]
local log_channel = ARGV[2]
local news = ARGV[3] -- what is told

redis.call('ZREM', readers_key, reader_id)
redis.call('PUBLISH', log_channel, news)
return 1
