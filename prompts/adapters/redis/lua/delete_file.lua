-- Show a file no more; its bytes and its passages are due from now on.
--
-- RETURNS {1, vector store, …}; the same call again says the same | {0} unknown, expired, or another owner's
-- INCLUDES clock files
assert(#KEYS == 3 and #ARGV == 4)
local file_key = KEYS[1] -- hash
local stores_key = KEYS[2] -- set
local due_key = KEYS[3] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local file_id = ARGV[2]
local owner = ARGV[3]
local call_id = ARGV[4]

if redis.call('HGET', file_key, 'deleted') ~= call_id then
  local now_ms = read_clock_ms()
  if not is_shown(file_key, owner, now_ms) then return {0} end
  hide_file(prefix, file_key, file_id)
  redis.call('HSET', file_key, 'deleted', call_id)
  redis.call('ZADD', due_key, now_ms, file_id)
end
return {1, unpack(redis.call('SRANDMEMBER', stores_key, 1000))}
