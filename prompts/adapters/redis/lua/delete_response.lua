-- Erase a response: its object, its input, its log. What it said stays in the history it joined.
--
-- KEYS 1 the response (hash)   2 its event log (stream)   3 the partition's leases (zset)   4 its expiry (zset)
-- ARGV 1 prefix of the partition's keys   2 owner   3 response id   4 how long the tombstone stays, s
--      5 prefix of the replicas' channels   6 the log's channel   7 id of this call
-- RETURNS 1 erased (the same call again says the same) | 0 unknown, or another owner's
local resp_key, log_key, leases_key, expiry_key = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local prefix, owner, resp_id, tombstone_s = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local replicas, channel, call_id = ARGV[5], ARGV[6], ARGV[7]

local resp = redis.call('HMGET', resp_key, 'owner', 'status', 'anchor_kind', 'anchor', 'replica', 'timeline', 'deleted', 'unstored')
if resp[7] == call_id then return 1 end
if resp[1] ~= owner or resp[8] then return 0 end

-- What frees memory comes first: then Redis, when it is full, lets the script do the rest as well.
redis.call('UNLINK', resp_key, log_key)
redis.call('ZREM', leases_key, resp_id)
if resp[2] == 'in_progress' then
  redis.call('PUBLISH', replicas .. resp[5], resp_id)
  local conv_key = prefix .. 'conv:' .. resp[4]
  if resp[3] == 'conversation' and redis.call('HGET', conv_key, 'active') == resp_id then
    redis.call('HSET', conv_key, 'active', '')
  end
end
local root = redis.call('HGET', prefix .. 'tl:' .. resp[6] .. ':meta', 'root')
if root then
  redis.call('SREM', prefix .. 'tl:' .. root .. ':parts', 'resp:' .. resp_id)
  -- The last response of a chain was the only way to its history.
  local is_last = redis.call('SCARD', prefix .. 'tl:' .. root .. ':parts') == 0
  local expiry = redis.call('HGET', prefix .. 'tl:' .. root .. ':meta', 'expiry')
  if is_last and expiry == 'chain:' .. root then redis.call('ZADD', expiry_key, 0, expiry) end
end
redis.call('HSET', resp_key, 'deleted', call_id)
redis.call('EXPIRE', resp_key, tombstone_s)
redis.call('PUBLISH', channel, 'deleted')
return 1
