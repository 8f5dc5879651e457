-- A conversation is gone from this moment; what hangs below it is erased in slices, see erase.lua.
--
-- KEYS 1 the conversation (hash)   2 the partition's leases (zset)   3 its expiry (zset)
-- ARGV 1 prefix of the partition's keys   2 owner ("" when its time is over, which is looked at again)   3 conversation id
--      4 how long the tombstone stays, s   5 prefix of the replicas' channels   6 id of this call
-- RETURNS whose it was: gone (the same call again says the same) | "" unknown, another owner's, or used meanwhile
-- INCLUDES clock
local conv_key, leases_key, expiry_key = KEYS[1], KEYS[2], KEYS[3]
local prefix, owner, conv_id, tombstone_s, replicas, call_id = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]

local conv = redis.call('HMGET', conv_key, 'owner', 'active', 'timeline', 'deleted')
local found_owner, active, timeline = conv[1], conv[2], conv[3]
if not found_owner then
  redis.call('ZREM', expiry_key, 'conv:' .. conv_id)
  return conv[4] == call_id and owner or ''
end
if owner == '' then
  local due_ms = redis.call('ZSCORE', expiry_key, 'conv:' .. conv_id)
  if not due_ms or tonumber(due_ms) > read_clock_ms() then return '' end
elseif found_owner ~= owner then
  return ''
end

-- What frees memory comes first: then Redis, when it is full, lets the script do the rest as well.
redis.call('UNLINK', conv_key)
redis.call('ZREM', expiry_key, 'conv:' .. conv_id)
-- A root without `expiry` is being erased: nothing joins it any more.
local meta_key = prefix .. 'tl:' .. timeline .. ':meta'
redis.call('HDEL', meta_key, 'expiry')
local origin = redis.call('HGET', meta_key, 'origin')
if origin then redis.call('SREM', prefix .. 'tl:' .. origin .. ':parts', 'conv:' .. conv_id) end
if active ~= '' then
  local resp_key = prefix .. 'resp:' .. active
  redis.call('ZREM', leases_key, active)
  redis.call('HDEL', resp_key, 'owner')
  local replica = redis.call('HGET', resp_key, 'replica')
  if replica then
    redis.call('HSET', resp_key, 'epoch', '') -- no run's: nobody may write any more
    redis.call('PUBLISH', replicas .. replica, active)
  end
  redis.call('PUBLISH', prefix .. 'grown:' .. active, 'deleted')
end
redis.call('HSET', conv_key, 'deleted', call_id)
redis.call('EXPIRE', conv_key, tombstone_s)
redis.call('ZADD', expiry_key, 0, 'chain:' .. timeline)
return found_owner
