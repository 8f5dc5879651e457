-- INCLUDES outbox
-- Before a root that waits for the archive is looked at again. Half a millisecond marks that it waits: whatever uses it
-- makes it due at a whole one.
local WAIT_MS = 60000.5

-- Whether a root whose time is over has to wait until the archive has a copy of it: then `settle_outbox.lua` makes it due
-- at 0, as what was deleted is, unless it has been used.
local function waits_for_archive(prefix, expiry_key, member, due_ms, now_ms)
  if tonumber(due_ms) == 0 or redis.call('EXISTS', prefix .. 'archive') == 0 then return false end
  redis.call('ZADD', prefix .. 'outbox', 'NX', read_clock_us(), 'let_go:' .. member)
  redis.call('ZADD', expiry_key, now_ms + WAIT_MS, member)
  return true
end
