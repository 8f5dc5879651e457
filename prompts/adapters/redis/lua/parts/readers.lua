-- Who reads a response, at whichever replica: each reader has a mark with a deadline, which its replica renews. So the
-- marks of a replica that dies are over by themselves.
local function mark_reader(readers_key, reader_id, now_ms, lease_ms)
  redis.call('ZADD', readers_key, now_ms + lease_ms, reader_id)
  redis.call('PEXPIRE', readers_key, 3 * lease_ms) -- when the last mark is over, nobody else removes the key
end

local function is_followed(readers_key, now_ms)
  return redis.call('ZCOUNT', readers_key, now_ms, '+inf') > 0
end

