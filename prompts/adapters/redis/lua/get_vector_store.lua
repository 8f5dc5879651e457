-- A vector store and how many of its files stand where, at one moment.
--
-- RETURNS {name, description, metadata, created ms, used ms, days or "", usage bytes, 1 expired | 0, in progress,
--         completed, failed, cancelled, total} | {} unknown, or another owner's
-- INCLUDES vector_stores
assert(#KEYS == 1 and #ARGV == 1)
local store_key = KEYS[1] -- hash
local owner = ARGV[1]

local found_owner, is_expired = find_store(store_key, owner, read_clock_ms())
if not found_owner then return {} end
local found = redis.call('HMGET', store_key, 'name', 'description', 'metadata', 'created_ms', 'used_ms', 'days',
  'usage_bytes')
found[6] = found[6] or ''
found[8] = is_expired and 1 or 0
return add_counts(found, store_key)
