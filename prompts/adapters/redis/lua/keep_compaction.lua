-- Keep a compaction as an ended response at the head of a timeline of its own, so that a turn can continue from it.
--
-- RETURNS {"ok"} | {"attach", response id} | {"key_reused"} | {"gone"} what was staged is not there any more; the same call
--         again gives the same
-- INCLUDES account clock idempotency items outbox staged
assert(#KEYS == 3 and #ARGV == 12)
local response_key = KEYS[1] -- hash: the compaction
local expiry_key = KEYS[2] -- sorted set, of the partition
local idempotency_key = KEYS[3] -- string; the compaction itself when the client chose no key
local prefix = ARGV[1] -- of the partition's keys
local owner = ARGV[2]
local response_id = ARGV[3]
local result = ARGV[4] -- JSON; "": the response has it already, with the input
local input = ARGV[5] -- JSON array of items
local items = cjson.decode(ARGV[6]) -- array of {id, item JSON, tokens, call id or "", kept or ""}
local body_hash = ARGV[7]
local timeline = ARGV[8] -- a fresh id
local idempotency_ms = ARGV[9] -- how long the idempotency key is kept
local retention_ms = tonumber(ARGV[10])
local staged_length = tonumber(ARGV[11]) -- of the timeline, when it has the items already; else 0
local compacted = ARGV[12] -- id of the response whose history it is made of; "" without one

if redis.call('HEXISTS', response_key, 'v') == 1 then return {'ok'} end
if staged_length > 0 and not is_staged(prefix, timeline, staged_length) then return {'gone'} end
if idempotency_key ~= response_key then
  local earlier = find_earlier(idempotency_key, body_hash)
  if earlier then return earlier end
end

local now_ms = read_clock_ms()
local length = staged_length > 0 and staged_length or append_items(prefix, owner, timeline, 0, items)
if staged_length > 0 then count_staged(prefix, owner, timeline) end
redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'root', timeline, 'owner', owner,
  'expiry', 'chain:' .. timeline)
redis.call('SADD', prefix .. 'tl:' .. timeline .. ':parts', 'resp:' .. response_id)
redis.call('ZADD', expiry_key, now_ms + retention_ms, 'chain:' .. timeline)
if result ~= '' then
  redis.call('HSET', response_key, 'input', input, 'result', result)
else
  redis.call('PERSIST', response_key)
end
-- No run wrote it event by event: it has no echo to tell events from.
redis.call('HSET', response_key, 'v', 1, 'owner', owner, 'status', 'completed', 'anchor_kind', 'none', 'anchor', '',
  'echo', '', 'epoch', '1', 'body_hash', body_hash, 'created_ms', now_ms,
  'ended_ms', now_ms, 'timeline', timeline, 'position', length)
-- It is a chain of its own. Whoever erases what it was made of finds it by this.
if compacted ~= '' then redis.call('HSET', response_key, 'compacted', compacted) end
if idempotency_key ~= response_key then claim(prefix, idempotency_key, response_id, body_hash, idempotency_ms) end
count_fields(prefix, owner, response_key, {'input', 'result'})
note_hash(prefix, response_key)
return {'ok'}
