-- INCLUDES outbox
-- Before a root that waits for the archive is looked at again. Half a millisecond marks that it waits: whatever uses it
-- makes it due at a whole one.
local WAIT_MS = 60000.5

-- Whether a root whose time is over has to wait until the archive has a copy of it: then `settle_outbox.lua` makes it due
-- at 0, as what was deleted is, unless it has been used.
local function waits_for_archive(prefix, expiry_key, member, due_ms, now_ms)
  local since_ms, is_closed = unpack(redis.call('HMGET', prefix .. 'archive', 'since_ms', 'closed'))
  if tonumber(due_ms) == 0 or not since_ms or is_closed then return false end
  redis.call('ZADD', prefix .. 'outbox', 'NX', read_clock_us(), 'let_go:' .. member)
  redis.call('ZADD', expiry_key, now_ms + WAIT_MS, member)
  return true
end

-- Let what hangs on a timeline not be let go as it was copied: it has changed since, and was not used.
local function wait_once_more(prefix, timeline)
  local root = redis.call('HGET', prefix .. 'tl:' .. timeline .. ':meta', 'root')
  local member = root and redis.call('HGET', prefix .. 'tl:' .. root .. ':meta', 'expiry')
  local due_ms = member and tonumber(redis.call('ZSCORE', prefix .. 'expiry', member) or 0) or 0
  if due_ms % 1 ~= 0 then redis.call('ZADD', prefix .. 'expiry', math.floor(due_ms), member) end
end
