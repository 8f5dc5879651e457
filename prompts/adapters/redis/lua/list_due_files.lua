-- Files that are due to be erased; what has expired is shown no more. For a while nobody else is told of these.
--
-- RETURNS {file, its vector stores with blanks between them, …}
-- INCLUDES clock files
assert(#KEYS == 1 and #ARGV == 3)
local due_key = KEYS[1] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local max_files = tonumber(ARGV[2])
local again_ms = tonumber(ARGV[3]) -- from now on: when others are told of them

local now_ms = read_clock_ms()
local found = {}
for _, file_id in ipairs(redis.call('ZRANGEBYSCORE', due_key, '-inf', now_ms, 'LIMIT', 0, max_files)) do
  local file_key = prefix .. 'file:' .. file_id
  hide_file(prefix, file_key, file_id)
  redis.call('HSET', file_key, 'erasing', 1) -- one that was never added must not be from now on
  redis.call('ZADD', due_key, now_ms + again_ms, file_id)
  found[#found + 1] = file_id
  found[#found + 1] = table.concat(redis.call('SRANDMEMBER', file_key .. ':stores', 1000), ' ')
end
return found
