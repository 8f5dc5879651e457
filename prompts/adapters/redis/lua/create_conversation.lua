-- Make a conversation with its first items.
--
-- KEYS 1 the conversation (hash)   2 the partition's expiry (zset)
-- ARGV 1 prefix of the partition's keys   2 owner   3 conversation id   4 a fresh timeline id   5 metadata (JSON)
--      6 items (JSON array of [id, item JSON, tokens, call id or ""])   7 retention, ms
--      8 title, "" for none
-- RETURNS when it was made, ms; the same call again changes nothing
-- INCLUDES clock items
local conv_key, expiry_key = KEYS[1], KEYS[2]
local prefix, owner, conv_id, timeline, metadata = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local items, retention_ms = cjson.decode(ARGV[6]), tonumber(ARGV[7])

local now_ms = read_clock_ms()
local made = redis.call('HMGET', conv_key, 'created_ms', 'deleted')
if made[1] then return tonumber(made[1]) end
if made[2] then return now_ms end -- made, and deleted since

local length = append_items(prefix, timeline, 0, items)
-- `conversation` marks a timeline that only its conversation's own turns extend; every other turn forks.
redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'root', timeline, 'owner', owner,
  'conversation', conv_id, 'expiry', 'conv:' .. conv_id)
redis.call('HSET', conv_key, 'v', 1, 'owner', owner, 'metadata', metadata, 'timeline', timeline, 'head', length,
  'active', '', 'created_ms', now_ms, 'used_ms', now_ms, 'title', ARGV[8])
redis.call('ZADD', expiry_key, now_ms + retention_ms, 'conv:' .. conv_id)
return now_ms
