-- Append items to a conversation that no response is writing to.
--
-- KEYS 1 the conversation (hash)   2 the partition's expiry (zset)
-- ARGV 1 prefix of the partition's keys   2 owner   3 items (JSON array of [id, item JSON, tokens, call id or ""])
--      4 retention, ms   5 ids of calls that the history must hold (JSON array)
-- RETURNS {"ok"}; the same call again changes nothing | {"not_found"} | {"locked", response id}
--         | {"unknown_call", call id}
-- INCLUDES calls clock expiry items
local conv_key, expiry_key = KEYS[1], KEYS[2]
local prefix, owner, items, retention_ms = ARGV[1], ARGV[2], cjson.decode(ARGV[3]), tonumber(ARGV[4])

local conv = redis.call('HMGET', conv_key, 'owner', 'active', 'timeline', 'head')
if conv[1] ~= owner then return {'not_found'} end
if #items == 0 or redis.call('EXISTS', prefix .. 'item:' .. items[1][1]) == 1 then return {'ok'} end

local now_ms = read_clock_ms()
local active = conv[2]
if active ~= '' then return {'locked', active} end

-- A conversation's timeline is its own root.
local timeline, length = conv[3], tonumber(conv[4])
local expiry = find_expiry(prefix, expiry_key, timeline)
if not expiry then return {'not_found'} end

for _, call_id in ipairs(cjson.decode(ARGV[5])) do
  if not has_call(prefix, timeline, length, call_id) then return {'unknown_call', call_id} end
end

length = append_items(prefix, timeline, length, items)
redis.call('HSET', conv_key, 'head', length, 'used_ms', now_ms)
redis.call('ZADD', expiry_key, now_ms + retention_ms, expiry)
return {'ok'}
