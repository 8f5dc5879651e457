-- Show a file whose bytes are in the storage.
--
-- RETURNS -1 shown; the same call again changes nothing | -2 it is not expected any more | bytes that the owner keeps,
--         when with this file these would be too many
-- INCLUDES clock files
assert(#KEYS == 2 and #ARGV == 8)
local file_key = KEYS[1] -- hash
local due_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local file_id = ARGV[2]
local owner = ARGV[3]
local purpose = ARGV[4]
local bytes = tonumber(ARGV[5])
local shown = ARGV[6] -- JSON
local expires_ms = ARGV[7] -- "" for never
local max_bytes = tonumber(ARGV[8]) -- 0: no limit

local added, erasing = unpack(redis.call('HMGET', file_key, 'purpose', 'erasing'))
if added then return -1 end -- and perhaps deleted since
local due_ms = redis.call('ZSCORE', due_key, file_id)
if erasing or not due_ms or tonumber(due_ms) <= read_clock_ms() then return -2 end
local kept = tonumber(redis.call('HGET', prefix .. 'files:bytes', owner) or 0)
if max_bytes > 0 and kept + bytes > max_bytes then return kept end

redis.call('HSET', file_key, 'v', 1, 'owner', owner, 'purpose', purpose, 'bytes', bytes, 'shown', shown)
redis.call('HINCRBY', prefix .. 'files:bytes', owner, bytes)
-- A file of one byte has a record as well; `bytes` are those in the storage.
local record_bytes = BYTES_A_HOLDER + #shown
redis.call('HSET', file_key, 'record_bytes', record_bytes)
redis.call('HINCRBY', prefix .. 'bytes', owner, record_bytes)
redis.call('ZADD', list_key(prefix, 'any', owner), 0, file_id)
redis.call('ZADD', list_key(prefix, purpose, owner), 0, file_id)
if expires_ms == '' then
  redis.call('ZREM', due_key, file_id)
else
  redis.call('HSET', file_key, 'expires_ms', expires_ms)
  redis.call('ZADD', due_key, expires_ms, file_id)
end
return -1
