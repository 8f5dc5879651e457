-- Let a restored family be found: its conversations, its responses and its timelines, from one moment on.
--
-- RETURNS 1 | 0 the lock was lost, or something of it is there meanwhile
-- INCLUDES account clock outbox
assert(#KEYS == 2 and #ARGV == 9)
local lock_key = KEYS[1] -- string: the token of who restores
local expiry_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local token = ARGV[2]
local owner = ARGV[3]
local expiry = ARGV[4] -- the member of the expiry that the family lives by
local retention_ms = tonumber(ARGV[5])
local conversations = cjson.decode(ARGV[6]) -- array of {id, array of fields and values, id of what it was forked from or ""}
local roots = cjson.decode(ARGV[7]) -- array of timelines
local responses = cjson.decode(ARGV[8]) -- array of ids
local bytes = tonumber(ARGV[9]) -- of all of it, for the owner's account

if redis.call('GET', lock_key) ~= token then return 0 end
for _, each in ipairs(conversations) do
  if redis.call('HEXISTS', prefix .. 'conv:' .. each[1], 'owner') == 1 then return 0 end
end
for _, root in ipairs(roots) do
  if not redis.call('ZSCORE', expiry_key, 'chain:' .. root) then return 0 end -- erased meanwhile: it took too long
end

local now_ms = read_clock_ms()
for _, root in ipairs(roots) do
  redis.call('ZREM', expiry_key, 'chain:' .. root)
  redis.call('HSET', prefix .. 'tl:' .. root .. ':meta', 'owner', owner, 'expiry', expiry)
end
for _, each in ipairs(conversations) do
  local key, origin = prefix .. 'conv:' .. each[1], each[3]
  redis.call('DEL', key) -- what is left of it says that it was let go
  redis.call('HSET', key, unpack(each[2]))
  if origin ~= '' and redis.call('HEXISTS', key, 'created_ms') == 1 then
    redis.call('ZADD', prefix .. 'forks:' .. origin, redis.call('HGET', key, 'created_ms'), each[1])
  end
  if redis.call('HEXISTS', key, 'head') == 1 then note_hash(prefix, key) end
end
for _, id in ipairs(responses) do redis.call('HSET', prefix .. 'resp:' .. id, 'owner', owner) end
redis.call('HINCRBY', prefix .. 'bytes', owner, bytes)
redis.call('ZADD', expiry_key, now_ms + retention_ms, expiry)
redis.call('DEL', lock_key)
return 1
