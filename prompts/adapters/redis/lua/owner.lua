-- Whose key is this, and may its owner ask now? Sliding over the last minute, exact over all replicas.
--
-- KEYS 1 the valid keys (hash: hash of the key → owner)
-- ARGV 1 hash of the key   2 requests a minute (0: no limit)   3 prefix of the owners' requests (zset each, same slot)
-- RETURNS {} not valid | {owner, 1 may ask | 0 may not, remaining, ms until the oldest request is a minute old}
local valid_key = KEYS[1]
local key_hash, limit, requests_prefix = ARGV[1], tonumber(ARGV[2]), ARGV[3]

local owner = redis.call('HGET', valid_key, key_hash)
if not owner then return {} end
if limit == 0 then return {owner, 1, 0, 0} end

local clock = redis.call('TIME')
local now_us = clock[1] * 1000000 + clock[2]
local requests_key = requests_prefix .. owner
redis.call('ZREMRANGEBYSCORE', requests_key, '-inf', now_us - 60000000)
local asked = redis.call('ZCARD', requests_key)
local may_ask = asked < limit
if may_ask then
  local member = string.format('%.0f', now_us)
  redis.call('ZADD', requests_key, member, member)
  redis.call('PEXPIRE', requests_key, 60000)
  asked = asked + 1
end
local oldest = redis.call('ZRANGE', requests_key, 0, 0, 'WITHSCORES')
local reset_ms = math.ceil((tonumber(oldest[2]) + 60000000 - now_us) / 1000)
return {owner, may_ask and 1 or 0, limit - asked, reset_ms}
