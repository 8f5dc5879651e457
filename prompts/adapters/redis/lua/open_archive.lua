-- Have changes noted from now on; what is there already will be noted in slices, see backfill_outbox.lua.
--
-- RETURNS 1 from now on | 0 they are noted already; the same call again changes nothing. One that was closed is opened again.
-- INCLUDES clock
assert(#KEYS == 1 and #ARGV == 1)
local archive_key = KEYS[1] -- hash
local is_again = ARGV[1] == '1' -- what is there is noted anew, although it was before

local is_new = redis.call('HSETNX', archive_key, 'since_ms', read_clock_ms())
if redis.call('HDEL', archive_key, 'closed') == 1 then is_new = 1 end
if is_new == 1 or is_again then redis.call('HSET', archive_key, 'cursor', '0') end
return is_new
