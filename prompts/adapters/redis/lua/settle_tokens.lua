-- Settle a reservation: from now on what was used counts in its place. It may be settled again, with another number.
--
-- RETURNS 1 settled | 0 there is no such reservation any more
-- INCLUDES tokens
assert(#KEYS == 3 and #ARGV == 4)
local tokens_key = KEYS[1] -- hash: the owner's tokens by second and month
local reserved_key = KEYS[2] -- hash: reservation → "tokens second month held|settled"
local ends_key = KEYS[3] -- sorted set: reservations by when they end by themselves, in milliseconds
local reservation_id = ARGV[1]
local used = tonumber(ARGV[2]) -- tokens
local kept_ms = tonumber(ARGV[3]) -- how long it may be settled again
local told_ms = tonumber(ARGV[4]) -- the time in milliseconds; 0: that of Redis

local now_ms = told_ms
if now_ms == 0 then
  local clock = redis.call('TIME')
  now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
end
local found = redis.call('HGET', reserved_key, reservation_id)
if not found then return 0 end
local tokens, second, month = string.match(found, '^(%d+) (%d+) (%S+) %a+$')
local more = used - tonumber(tokens)

count_tokens(tokens_key, month, more)
if more > 0 then
  -- Nobody knew of them when it was reserved: they count from now on.
  redis.call('HINCRBY', tokens_key, 's:' .. string.format('%.0f', math.floor(now_ms / 1000)), more)
else
  count_tokens(tokens_key, 's:' .. second, more)
end
redis.call('HSET', reserved_key, reservation_id, string.format('%.0f %s %s settled', used, second, month))
redis.call('ZADD', ends_key, now_ms + kept_ms, reservation_id)
redis.call('EXPIRE', tokens_key, TOKENS_KEPT_S)
return 1
