-- Keep a compaction as an ended response at the head of a timeline of its own, so that a turn can continue from it.
--
-- KEYS 1 the compaction, as a response (hash)   2 the partition's expiry (zset)
--      3 the idempotency key (string); the compaction itself when there is none
-- ARGV 1 prefix of the partition's keys   2 owner   3 its id   4 result (JSON)   5 input items (JSON)
--      6 items (JSON array of [id, item JSON, tokens, call id])   7 body hash   8 how long the idempotency key is kept, ms
--      9 retention, ms   10 a fresh timeline id
-- RETURNS {"ok"} | {"attach", response id} | {"key_reused"}; the same call again gives the same
-- INCLUDES clock idempotency items
local resp_key, expiry_key, idem_key = KEYS[1], KEYS[2], KEYS[3]
local prefix, owner, resp_id, result, input = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local items, body_hash, idem_ms, retention_ms = cjson.decode(ARGV[6]), ARGV[7], ARGV[8], tonumber(ARGV[9])
local timeline = ARGV[10]

if redis.call('EXISTS', resp_key) == 1 then return {'ok'} end
if idem_key ~= resp_key then
  local earlier = find_earlier(idem_key, body_hash)
  if earlier then return earlier end
  redis.call('SET', idem_key, resp_id .. ' ' .. body_hash, 'PX', idem_ms)
end

local now_ms = read_clock_ms()
local length = append_items(prefix, timeline, 0, items)
redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'root', timeline, 'owner', owner,
  'expiry', 'chain:' .. timeline)
redis.call('SADD', prefix .. 'tl:' .. timeline .. ':parts', 'resp:' .. resp_id)
redis.call('ZADD', expiry_key, now_ms + retention_ms, 'chain:' .. timeline)
-- Nobody wrote it event by event: the echo that events are told from is empty.
redis.call('HSET', resp_key, 'v', 1, 'owner', owner, 'status', 'completed', 'anchor_kind', 'none', 'anchor', '',
  'echo', '', 'input', input, 'result', result, 'epoch', '1', 'body_hash', body_hash, 'created_ms', now_ms,
  'ended_ms', now_ms, 'timeline', timeline, 'position', length)
return {'ok'}
