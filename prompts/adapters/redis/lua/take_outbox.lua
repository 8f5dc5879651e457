-- Take the lease of a partition's outbox, and what is noted there, the oldest first.
--
-- RETURNS {epoch, 1 a backfill is under way | 0, member, its time µs, …}; the same call again keeps the lease and the epoch
--         | {"held"} by another archiver
-- INCLUDES outbox
assert(#KEYS == 3 and #ARGV == 3)
local outbox_key = KEYS[1] -- sorted set
local lease_key = KEYS[2] -- string: the token and the epoch of who holds it
local archive_key = KEYS[3] -- hash
local token = ARGV[1] -- of the archiver
local lease_ms = ARGV[2]
local count = tonumber(ARGV[3]) -- of members at most

local now_us = read_clock_us()
local holder, epoch = string.match(redis.call('GET', lease_key) or '', '^(%S+) (%d+)$')
if holder and holder ~= token then return {'held'} end
-- The time: who takes the lease later has a higher epoch, also when Redis has lost what it held.
epoch = epoch or now_us
redis.call('SET', lease_key, token .. ' ' .. epoch, 'PX', lease_ms)
local reply = {epoch, redis.call('HEXISTS', archive_key, 'cursor')}
local noted = redis.call('ZRANGE', outbox_key, '-inf', now_us, 'BYSCORE', 'LIMIT', 0, count, 'WITHSCORES')
for i, value in ipairs(noted) do reply[i + 2] = value end
return reply
