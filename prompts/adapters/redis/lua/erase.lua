-- Erase one slice of a root: its parts, then its own timeline. It is called again until nothing is left.
--
-- RETURNS {1 more is left | 0 nothing (more) to erase, owner, conversation id, timeline, …} with the conversations that
--         went, whose timelines are due by themselves
-- INCLUDES account clock entries idempotency letting_go
assert(#KEYS == 2 and #ARGV == 5)
local expiry_key = KEYS[1] -- sorted set, of the partition
local leases_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local root = ARGV[2] -- id of a timeline
local max_cost = tonumber(ARGV[3]) -- of the slice: an item costs 1, and more when it is large
local replica_channels = ARGV[4] -- prefix of their names
local tombstone_s = ARGV[5] -- how long a tombstone stays

-- Some keys, their removal from the sets and a tombstone: about as much work as so many items.
local PART_COST = 5
-- Reading an item of this size costs about as much as erasing one.
local BYTES_AN_ITEM = 4096

local left = max_cost
local gone = {}
local root_owner, deleted = unpack(redis.call('HMGET', prefix .. 'tl:' .. root .. ':meta', 'owner', 'deleted'))

-- RETURNS true when the timeline is gone | false when the slice is spent
local function erase_timeline(timeline)
  local key, count = prefix .. 'tl:' .. timeline, 1
  local meta_key = key .. ':meta'
  local erased, parent_position = unpack(redis.call('HMGET', meta_key, 'erased', 'parent_position'))
  local position = tonumber(erased or parent_position or 0) + 1
  while left > 0 do
    local batch, next_position = read_batch(prefix, timeline, position, math.huge, 1, count)
    local item_keys = {}
    for i, entry in ipairs(batch) do
      item_keys[i] = prefix .. 'item:' .. entry[4]
      left = left - 1 - entry[3] / BYTES_AN_ITEM
    end
    -- Of what was staged twice, one is erased: the items are where the other one is.
    if #item_keys > 0 then
      local here = {}
      for i, place in ipairs(redis.call('MGET', unpack(item_keys))) do
        if place and string.match(place, '^%S+') == timeline then here[#here + 1] = item_keys[i] end
      end
      if #here > 0 then redis.call('UNLINK', unpack(here)) end
    end
    if not next_position then
      redis.call('UNLINK', key)
      return true
    end
    redis.call('XTRIM', key, 'MINID', next_position .. '-0')
    redis.call('HSET', meta_key, 'erased', next_position - 1)
    position, count = next_position, math.min(count * 2, 32) -- one at first: items may be large
  end
  return false
end

local function erase_response(response_id)
  local response_key = prefix .. 'resp:' .. response_id
  local replica_id, claims = unpack(redis.call('HMGET', response_key, 'replica', 'claims'))
  erase_holder(prefix, root_owner, response_key, prefix .. 'ev:' .. response_id, prefix .. 'readers:' .. response_id)
  -- Of what its time has let go a retry still finds the response, in the archive.
  if deleted then forget_claims(prefix, response_id, claims) end
  if redis.call('ZREM', leases_key, response_id) == 1 and replica_id then
    redis.call('PUBLISH', replica_channels .. replica_id, response_id)
    redis.call('PUBLISH', prefix .. 'grown:' .. response_id, 'deleted')
  end
end

-- A fork goes with its origin: its conversation is gone at once, and its timeline, a root of its own, is due.
local function erase_fork(conversation_id)
  local conversation_key = prefix .. 'conv:' .. conversation_id
  local owner, timeline = unpack(redis.call('HMGET', conversation_key, 'owner', 'timeline'))
  if not owner then return end
  redis.call('UNLINK', conversation_key, prefix .. 'forks:' .. conversation_id)
  redis.call('HDEL', prefix .. 'tl:' .. timeline .. ':meta', 'expiry')
  if deleted then redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'deleted', '') end
  redis.call('HSET', conversation_key, 'deleted', '')
  redis.call('EXPIRE', conversation_key, tombstone_s)
  redis.call('ZADD', expiry_key, 0, 'chain:' .. timeline)
  gone[#gone + 1] = owner
  gone[#gone + 1] = conversation_id
  gone[#gone + 1] = timeline
end

-- What is left of this root comes behind whatever else is due, so that nobody's history waits for another's.
local function leave()
  redis.call('ZADD', expiry_key, read_clock_ms(), 'chain:' .. root)
  return {1, unpack(gone)}
end

-- RETURNS true when the part is gone | false when the slice is spent
local function erase_part(part)
  local kind, id = string.match(part, '^(%a+):(%S+)$')
  if kind == 'resp' then
    erase_response(id)
  elseif kind == 'conv' then
    erase_fork(id)
  elseif erase_timeline(id) then
    erase_holder(prefix, root_owner, prefix .. 'tl:' .. id .. ':meta', prefix .. 'tl:' .. id .. ':calls')
  else
    return false
  end
  return true
end

-- A turn may have used the root since it was found due. Once its `expiry` is gone, no turn can use it any more.
local meta_key, parts_key = prefix .. 'tl:' .. root .. ':meta', prefix .. 'tl:' .. root .. ':parts'
local due_ms = redis.call('ZSCORE', expiry_key, 'chain:' .. root)
if not due_ms then return {0} end
if redis.call('HEXISTS', meta_key, 'expiry') == 1 then
  local now_ms = read_clock_ms()
  if tonumber(due_ms) > now_ms then return {0} end
  -- What was staged and has joined no history is nobody's: it has no owner.
  if root_owner and waits_for_archive(prefix, expiry_key, 'chain:' .. root, due_ms, now_ms) then return {0} end
  redis.call('HDEL', meta_key, 'expiry')
end

for _, part in ipairs(redis.call('SRANDMEMBER', parts_key, 20)) do
  if left <= 0 or not erase_part(part) then return leave() end
  redis.call('SREM', parts_key, part)
  left = left - PART_COST
end
if redis.call('SCARD', parts_key) > 0 or not erase_timeline(root) then return leave() end
erase_holder(prefix, root_owner, meta_key, parts_key, prefix .. 'tl:' .. root .. ':calls')
redis.call('ZREM', expiry_key, 'chain:' .. root)
return {0, unpack(gone)}
