-- Note that the bytes of a file are about to be written.
--
-- RETURNS -1 noted | bytes that the owner keeps, when these are too many already
-- INCLUDES clock
assert(#KEYS == 2 and #ARGV == 4)
local due_key = KEYS[1] -- sorted set, of the partition
local bytes_key = KEYS[2] -- hash, of the partition
local file_id = ARGV[1]
local owner = ARGV[2]
local max_bytes = tonumber(ARGV[3]) -- 0: no limit
local expected_ms = tonumber(ARGV[4]) -- from now on: how long the upload may take

local kept = tonumber(redis.call('HGET', bytes_key, owner) or 0)
if max_bytes > 0 and kept >= max_bytes then return kept end
redis.call('ZADD', due_key, read_clock_ms() + expected_ms, file_id)
return -1
