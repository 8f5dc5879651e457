-- How many bytes an owner keeps in a partition. What is counted is noted in its holder as well, as `bytes`: so exactly as
-- much is freed when the holder goes, and nothing for what was kept by a release that did not count.

-- What the keys and the bookkeeping of one response or conversation take, about.
local BYTES_A_HOLDER = 1000

local function count_bytes(prefix, owner, holder_key, bytes)
  redis.call('HINCRBY', holder_key, 'bytes', bytes)
  redis.call('HINCRBY', prefix .. 'bytes', owner, bytes)
end

-- Count a new response: its bookkeeping and its large fields, which the script itself may never have held.
local function count_fields(prefix, owner, response_key, fields)
  local bytes = BYTES_A_HOLDER
  for _, field in ipairs(fields) do bytes = bytes + redis.call('HSTRLEN', response_key, field) end
  count_bytes(prefix, owner, response_key, bytes)
end

local function free_bytes(prefix, owner, bytes)
  if not owner or not bytes then return end
  local left = redis.call('HINCRBY', prefix .. 'bytes', owner, -tonumber(bytes))
  if left <= 0 then redis.call('HDEL', prefix .. 'bytes', owner) end
end

-- Erase what holds bytes of an owner, with its other keys. What frees memory comes first: then Redis, when it is full,
-- lets the script do the rest as well.
local function erase_holder(prefix, owner, holder_key, ...)
  local bytes = redis.call('HGET', holder_key, 'bytes')
  redis.call('UNLINK', holder_key, ...)
  free_bytes(prefix, owner, bytes)
end
