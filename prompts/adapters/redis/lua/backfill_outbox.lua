-- Note some of what is in the partition since before there was an archive: a slice of its roots.
--
-- RETURNS 1 more is left | 0 all is noted
-- INCLUDES outbox
assert(#KEYS == 3 and #ARGV == 1)
local archive_key = KEYS[1] -- hash
local expiry_key = KEYS[2] -- sorted set, of the partition: it has every root
local outbox_key = KEYS[3] -- sorted set
local count = ARGV[1] -- of roots, about

local cursor = redis.call('HGET', archive_key, 'cursor')
if not cursor then return 0 end
local next_cursor, found = unpack(redis.call('ZSCAN', expiry_key, cursor, 'COUNT', count))
for i = 1, #found, 2 do
  redis.call('ZADD', outbox_key, 'NX', read_clock_us(), 'all:' .. found[i])
end
if next_cursor == '0' then
  redis.call('HDEL', archive_key, 'cursor')
  return 0
end
redis.call('HSET', archive_key, 'cursor', next_cursor)
return 1
