-- INCLUDES account
-- An owner's files: two lists, of `any` purpose and of each, and how many bytes they have.
local function list_key(prefix, purpose, owner)
  return prefix .. 'files:of:' .. purpose .. ':' .. owner
end

-- Show the file no more. It keeps its hash, without an owner, and its vector stores until it is forgotten.
local function hide_file(prefix, file_key, file_id)
  local owner, purpose, bytes, record_bytes =
    unpack(redis.call('HMGET', file_key, 'owner', 'purpose', 'bytes', 'record_bytes'))
  if not owner then return end
  redis.call('HDEL', file_key, 'owner', 'shown')
  redis.call('ZREM', list_key(prefix, 'any', owner), file_id)
  redis.call('ZREM', list_key(prefix, purpose, owner), file_id)
  local left = redis.call('HINCRBY', prefix .. 'files:bytes', owner, -tonumber(bytes))
  if left <= 0 then redis.call('HDEL', prefix .. 'files:bytes', owner) end
  free_bytes(prefix, owner, record_bytes)
end

-- Whether the file is shown to this owner now.
local function is_shown(file_key, owner, now_ms)
  local found_owner, expires_ms = unpack(redis.call('HMGET', file_key, 'owner', 'expires_ms'))
  return found_owner == owner and (not expires_ms or tonumber(expires_ms) > now_ms)
end

