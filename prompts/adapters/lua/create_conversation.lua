-- Make a conversation with its first items.
--
-- KEYS 1 the conversation (hash)
-- ARGV 1 prefix of the partition's keys   2 owner   3 a fresh timeline id   4 metadata (JSON)
--      5 items (JSON array of [id, item JSON, tokens])
-- RETURNS now, ms
local conv_key = KEYS[1]
local prefix, owner, timeline, metadata, items = ARGV[1], ARGV[2], ARGV[3], ARGV[4], cjson.decode(ARGV[5])

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local length = 0
for _, entry in ipairs(items) do
  length = length + 1
  redis.call('XADD', prefix .. 'tl:' .. timeline, length .. '-0', 'i', entry[2], 't', entry[3])
  redis.call('SET', prefix .. 'item:' .. entry[1], timeline .. ' ' .. length)
end
-- `conversation` marks a timeline that only its conversation's own turns may extend; every other turn forks.
redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'length', length, 'conversation', 1)
redis.call('HSET', conv_key, 'v', 1, 'owner', owner, 'metadata', metadata, 'timeline', timeline, 'head', length, 'active', '',
  'created_ms', now_ms, 'used_ms', now_ms)
return now_ms
