-- Erase a response: its object, its input, its log. What it said stays in the history it joined.
--
-- RETURNS 1 erased; the same call again says the same | 0 unknown, or another owner's
-- INCLUDES account outbox
assert(#KEYS == 4 and #ARGV == 7)
local response_key = KEYS[1] -- hash
local log_key = KEYS[2] -- stream: its event log
local leases_key = KEYS[3] -- sorted set, of the partition
local expiry_key = KEYS[4] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local response_id = ARGV[3]
local tombstone_s = ARGV[4] -- how long the tombstone stays
local replica_channels = ARGV[5] -- prefix of their names
local log_channel = ARGV[6]
local call_id = ARGV[7]

local found_owner, status, anchor_kind, anchor_id, replica_id, timeline, deleted, unstored, bytes =
  unpack(redis.call('HMGET', response_key, 'owner', 'status', 'anchor_kind', 'anchor', 'replica', 'timeline', 'deleted',
    'unstored', 'bytes'))
if deleted == call_id then return 1 end
if found_owner ~= owner or unstored then return 0 end

-- What frees memory comes first: then Redis, when it is full, lets the script do the rest as well.
redis.call('UNLINK', response_key, log_key, prefix .. 'readers:' .. response_id)
redis.call('ZREM', leases_key, response_id)
free_bytes(prefix, owner, bytes)
if status == 'in_progress' then
  redis.call('PUBLISH', replica_channels .. replica_id, response_id)
  local conversation_key = prefix .. 'conv:' .. anchor_id
  if anchor_kind == 'conversation' and redis.call('HGET', conversation_key, 'active') == response_id then
    redis.call('HSET', conversation_key, 'active', '')
  end
end
local root = redis.call('HGET', prefix .. 'tl:' .. timeline .. ':meta', 'root')
if root then
  redis.call('SREM', prefix .. 'tl:' .. root .. ':parts', 'resp:' .. response_id)
  -- The last response of a chain was the only way to its history.
  local expiry, branches = unpack(redis.call('HMGET', prefix .. 'tl:' .. root .. ':meta', 'expiry', 'branches'))
  local is_last = redis.call('SCARD', prefix .. 'tl:' .. root .. ':parts') <= tonumber(branches or 0)
  if is_last and expiry == 'chain:' .. root then
    redis.call('ZADD', expiry_key, 0, expiry)
    note_change(prefix, 'gone:' .. expiry)
  end
end
redis.call('HSET', response_key, 'deleted', call_id)
redis.call('EXPIRE', response_key, tombstone_s)
redis.call('PUBLISH', log_channel, 'deleted')
note_change(prefix, 'gone:resp:' .. response_id)
return 1
