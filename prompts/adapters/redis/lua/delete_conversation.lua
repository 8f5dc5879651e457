-- Delete a conversation: it is gone from this moment. What hangs below it is erased in slices, see erase.lua.
--
-- RETURNS whose it was; the same call again says the same | "" unknown, another owner's, used meanwhile, or not archived yet
-- INCLUDES clock letting_go outbox
assert(#KEYS == 3 and #ARGV == 7)
local conversation_key = KEYS[1] -- hash
local leases_key = KEYS[2] -- sorted set, of the partition
local expiry_key = KEYS[3] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2] -- "": delete it only if its time is over
local conversation_id = ARGV[3]
local tombstone_s = ARGV[4] -- how long the tombstone stays
local replica_channels = ARGV[5] -- prefix of their names
local call_id = ARGV[6]
local found_due_ms = ARGV[7] -- "": in any case; else only when it is due then, so that nothing has used it since that was read

local found_owner, active, timeline, deleted, forked_from =
  unpack(redis.call('HMGET', conversation_key, 'owner', 'active', 'timeline', 'deleted', 'forked_from'))
if not found_owner then
  redis.call('ZREM', expiry_key, 'conv:' .. conversation_id)
  return deleted == call_id and owner or ''
end
if owner == '' then
  local due_ms, now_ms = redis.call('ZSCORE', expiry_key, 'conv:' .. conversation_id), read_clock_ms()
  if not due_ms or tonumber(due_ms) > now_ms then return '' end
  if waits_for_archive(prefix, expiry_key, 'conv:' .. conversation_id, due_ms, now_ms) then return '' end
elseif found_owner ~= owner then
  return ''
end
if found_due_ms ~= '' then
  local due_ms = redis.call('ZSCORE', expiry_key, 'conv:' .. conversation_id)
  if active ~= '' or not due_ms or tonumber(due_ms) ~= tonumber(found_due_ms) then return '' end
end

-- What frees memory comes first: then Redis, when it is full, lets the script do the rest as well.
redis.call('UNLINK', conversation_key, prefix .. 'forks:' .. conversation_id)
if forked_from then redis.call('ZREM', prefix .. 'forks:' .. forked_from, conversation_id) end
redis.call('ZREM', expiry_key, 'conv:' .. conversation_id)
-- A root without `expiry` is being erased: nothing joins it any more.
local meta_key = prefix .. 'tl:' .. timeline .. ':meta'
redis.call('HDEL', meta_key, 'expiry')
local origin = redis.call('HGET', meta_key, 'origin')
if origin then redis.call('SREM', prefix .. 'tl:' .. origin .. ':parts', 'conv:' .. conversation_id) end
if active ~= '' then
  local response_key = prefix .. 'resp:' .. active
  redis.call('ZREM', leases_key, active)
  redis.call('HDEL', response_key, 'owner')
  local replica_id = redis.call('HGET', response_key, 'replica')
  if replica_id then
    redis.call('HSET', response_key, 'epoch', '') -- no run has this epoch: none can write any more
    redis.call('PUBLISH', replica_channels .. replica_id, active)
  end
  redis.call('PUBLISH', prefix .. 'grown:' .. active, 'deleted')
end
redis.call('HSET', conversation_key, 'deleted', call_id, 'erasing', timeline)
redis.call('EXPIRE', conversation_key, tombstone_s)
redis.call('ZADD', expiry_key, 0, 'chain:' .. timeline)
-- What its time lets go stays in the archive, and may be restored (begin_restore.lua): a retry finds it then.
if owner == '' then
  redis.call('HSET', conversation_key, 'let_go', 1)
else
  redis.call('HSET', meta_key, 'deleted', call_id)
  note_change(prefix, 'gone:conv:' .. conversation_id)
end
return found_owner
