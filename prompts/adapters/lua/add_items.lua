-- Append items to a conversation that no response is writing to.
--
-- KEYS 1 the conversation (hash)   2 the partition's leases (zset)
-- ARGV 1 prefix of the partition's keys   2 owner   3 items (JSON array of [id, item JSON, tokens])
-- RETURNS {"ok"} | {"not_found"} | {"locked", active response id}
local conv_key, leases_key = KEYS[1], KEYS[2]
local prefix, owner, items = ARGV[1], ARGV[2], cjson.decode(ARGV[3])

local conv = redis.call('HMGET', conv_key, 'owner', 'active', 'timeline', 'head')
if conv[1] ~= owner then return {'not_found'} end

local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local active = conv[2]
if active ~= '' and tonumber(redis.call('ZSCORE', leases_key, active) or 0) > now_ms then return {'locked', active} end

local timeline, length = conv[3], tonumber(conv[4])
for _, entry in ipairs(items) do
  length = length + 1
  redis.call('XADD', prefix .. 'tl:' .. timeline, length .. '-0', 'i', entry[2], 't', entry[3])
  redis.call('SET', prefix .. 'item:' .. entry[1], timeline .. ' ' .. length)
end
redis.call('HSET', prefix .. 'tl:' .. timeline .. ':meta', 'length', length)
redis.call('HSET', conv_key, 'head', length, 'used_ms', now_ms)
return {'ok'}
