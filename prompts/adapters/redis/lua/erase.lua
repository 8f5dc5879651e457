-- Erase one slice of a root: its parts, then its own timeline. Called again until nothing is left.
--
-- KEYS 1 the partition's expiry (zset)   2 its leases (zset)
-- ARGV 1 prefix of the partition's keys   2 the root, a timeline's id   3 what a slice may cost; an item costs 1
--      4 prefix of the replicas' channels   5 how long a tombstone stays, s
-- RETURNS {1 more is left | 0 nothing (more) to erase, owner, conversation id, …} with the conversations that went
-- INCLUDES clock
local expiry_key, leases_key = KEYS[1], KEYS[2]
local prefix, root, left, replicas, tombstone_s = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], ARGV[5]

-- Some keys, their removal from the sets and a tombstone: about as much work as so many items.
local PART_COST = 5
-- Reading an item of this size costs about as much as erasing one.
local BYTES_AN_ITEM = 4096
local gone = {}

-- True when the timeline is gone, false when the slice is spent.
local function erase_timeline(timeline)
  local key, count = prefix .. 'tl:' .. timeline, 1
  while left > 0 do
    local entries = redis.call('XRANGE', key, '-', '+', 'COUNT', count)
    if #entries == 0 then
      redis.call('UNLINK', key)
      return true
    end
    local item_keys = {}
    for i, entry in ipairs(entries) do -- k, id, i, item
      item_keys[i] = prefix .. 'item:' .. entry[2][2]
      left = left - 1 - #entry[2][4] / BYTES_AN_ITEM
    end
    redis.call('UNLINK', unpack(item_keys))
    local last_position = tonumber(string.match(entries[#entries][1], '^%d+'))
    redis.call('XTRIM', key, 'MINID', (last_position + 1) .. '-0')
    count = math.min(count * 2, 32) -- one at first: items may be large
  end
  return false
end

local function erase_response(resp_id)
  local resp_key = prefix .. 'resp:' .. resp_id
  local replica = redis.call('HGET', resp_key, 'replica')
  redis.call('UNLINK', resp_key, prefix .. 'ev:' .. resp_id)
  if redis.call('ZREM', leases_key, resp_id) == 1 and replica then
    redis.call('PUBLISH', replicas .. replica, resp_id)
    redis.call('PUBLISH', prefix .. 'grown:' .. resp_id, 'deleted')
  end
end

-- A fork goes with what it hangs on: gone at once, and a root of its own that is due as well.
local function erase_fork(conv_id)
  local conv_key = prefix .. 'conv:' .. conv_id
  local conv = redis.call('HMGET', conv_key, 'owner', 'timeline')
  if not conv[1] then return end
  redis.call('UNLINK', conv_key)
  redis.call('HDEL', prefix .. 'tl:' .. conv[2] .. ':meta', 'expiry')
  redis.call('HSET', conv_key, 'deleted', '')
  redis.call('EXPIRE', conv_key, tombstone_s)
  redis.call('ZADD', expiry_key, 0, 'chain:' .. conv[2])
  gone[#gone + 1] = conv[1]
  gone[#gone + 1] = conv_id
end

local function erase_part(part)
  local kind, id = string.match(part, '^(%a+):(%S+)$')
  if kind == 'resp' then
    erase_response(id)
  elseif kind == 'conv' then
    erase_fork(id)
  elseif erase_timeline(id) then
    redis.call('UNLINK', prefix .. 'tl:' .. id .. ':meta', prefix .. 'tl:' .. id .. ':calls')
  else
    return false
  end
  return true
end

-- Look again: a turn may have used it since it was found. Once begun, nothing does: a root without `expiry` is refused.
local meta_key, parts_key = prefix .. 'tl:' .. root .. ':meta', prefix .. 'tl:' .. root .. ':parts'
local due_ms = redis.call('ZSCORE', expiry_key, 'chain:' .. root)
if not due_ms then return {0} end
if redis.call('HEXISTS', meta_key, 'expiry') == 1 then
  if tonumber(due_ms) > read_clock_ms() then return {0} end
  redis.call('HDEL', meta_key, 'expiry')
end

for _, part in ipairs(redis.call('SRANDMEMBER', parts_key, 20)) do
  if left <= 0 or not erase_part(part) then return {1, unpack(gone)} end
  redis.call('SREM', parts_key, part)
  left = left - PART_COST
end
if redis.call('SCARD', parts_key) > 0 or not erase_timeline(root) then return {1, unpack(gone)} end
redis.call('UNLINK', meta_key, parts_key, prefix .. 'tl:' .. root .. ':calls')
redis.call('ZREM', expiry_key, 'chain:' .. root)
return {0, unpack(gone)}
