-- Some passages that are to be erased from the index now. Others are not given them until the lease is over.
--
-- RETURNS {"<store>" | "<store> <file>", …}
-- INCLUDES vector_stores
assert(#KEYS == 1 and #ARGV == 3)
local unindexing_key = KEYS[1] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local max_taken = ARGV[2]
local lease_ms = tonumber(ARGV[3])

local now_ms = read_clock_ms()
local taken = {}
for _, member in ipairs(redis.call('ZRANGEBYSCORE', unindexing_key, '-inf', now_ms, 'LIMIT', 0, max_taken)) do
  local owner, is_expired = nil, false
  if not string.find(member, ' ', 1, true) then
    owner, is_expired = find_store(prefix .. 'vs:' .. member, '', now_ms)
  end
  if owner and not is_expired then
    plan_expiry(prefix .. 'vs:' .. member, unindexing_key, member) -- what is alive is never erased
  else
    redis.call('ZADD', unindexing_key, now_ms + lease_ms, member)
    taken[#taken + 1] = member
  end
end
return taken
