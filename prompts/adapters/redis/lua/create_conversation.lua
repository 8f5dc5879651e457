-- Make a conversation with its first items.
--
-- RETURNS when it was made, ms; the same call again changes nothing | 0 what was staged is not there any more
-- INCLUDES account clock items outbox staged
assert(#KEYS == 2 and #ARGV == 9)
local conversation_key = KEYS[1] -- hash
local expiry_key = KEYS[2] -- sorted set, of the partition
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local conversation_id = ARGV[3]
local timeline = ARGV[4] -- a fresh id
local metadata = ARGV[5] -- JSON
local title = ARGV[6] -- "" for none
local items = cjson.decode(ARGV[7]) -- array of {id, item JSON, tokens, call id or "", kept or ""}
local retention_ms = tonumber(ARGV[8])
local staged_length = tonumber(ARGV[9]) -- of the timeline, when it has the items already; else 0

local now_ms = read_clock_ms()
local created_ms, deleted = unpack(redis.call('HMGET', conversation_key, 'created_ms', 'deleted'))
if created_ms then return tonumber(created_ms) end
if deleted then return now_ms end -- made, and deleted since

local length = staged_length
if length == 0 then
  length = append_items(prefix, owner, timeline, 0, items)
elseif is_staged(prefix, timeline, length) then
  redis.call('ZREM', expiry_key, 'chain:' .. timeline)
  count_staged(prefix, owner, timeline)
else
  return 0
end
-- `conversation` marks a timeline that only its conversation's own turns extend; every other turn forks.
redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'root', timeline, 'owner', owner,
  'conversation', conversation_id, 'expiry', 'conv:' .. conversation_id)
count_bytes(prefix, owner, prefix .. 'tl:' .. timeline .. ':meta', BYTES_A_HOLDER + #metadata + #title)
redis.call('HSET', conversation_key, 'v', 1, 'owner', owner, 'metadata', metadata, 'timeline', timeline, 'head', length,
  'active', '', 'created_ms', now_ms, 'used_ms', now_ms, 'title', title)
redis.call('ZADD', expiry_key, now_ms + retention_ms, 'conv:' .. conversation_id)
note_hash(prefix, conversation_key)
return now_ms
