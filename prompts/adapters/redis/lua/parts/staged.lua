-- INCLUDES account timelines
-- Items that came in slices (adapters/redis/staging.py): they stand on a timeline of their own, which nobody sees and the
-- sweep erases, unless it joins a history in time.
local function is_staged(prefix, staged, length)
  local expiry, found = unpack(redis.call('HMGET', prefix .. 'tl:' .. staged .. ':meta', 'expiry', 'length'))
  return expiry == 'chain:' .. staged and tonumber(found) == length
end

-- Count what it holds for its owner, from now on: nobody keeps what has not joined a history.
local function count_staged(prefix, owner, staged)
  local meta_key = prefix .. 'tl:' .. staged .. ':meta'
  local bytes = redis.call('HGET', meta_key, 'staged_bytes')
  if not bytes then return end
  redis.call('HDEL', meta_key, 'staged_bytes')
  count_bytes(prefix, owner, meta_key, bytes)
end

-- Where a staged timeline stands from now on: behind a position of a parent.
local function put_behind(prefix, expiry_key, owner, staged, parent, position)
  local meta_key = prefix .. 'tl:' .. staged .. ':meta'
  redis.call('ZREM', expiry_key, 'chain:' .. staged)
  redis.call('HDEL', meta_key, 'expiry')
  count_staged(prefix, owner, staged)
  if position > 0 then
    redis.call('HSET', meta_key, 'parent', parent, 'parent_position', position, 'depth', find_depth(prefix, parent) + 1)
  end
end

-- Let a branch begin with it, below the root of its parent.
local function join_branch(prefix, expiry_key, owner, staged, root, parent, position)
  put_behind(prefix, expiry_key, owner, staged, parent, position)
  redis.call('HSET', prefix .. 'tl:' .. staged .. ':meta', 'root', root)
  add_branch(prefix, root, staged)
end

-- Make it the timeline of a conversation, in place of the one it continues. A conversation's timeline is its own root: the
-- former one hangs on it as a fork hangs on its origin, by a conversation that nobody can name, and is erased with it.
local function join_conversation(prefix, expiry_key, staged, conversation_id, former, position)
  local former_key, meta_key = prefix .. 'tl:' .. former .. ':meta', prefix .. 'tl:' .. staged .. ':meta'
  local owner, expiry, origin = unpack(redis.call('HMGET', former_key, 'owner', 'expiry', 'origin'))
  put_behind(prefix, expiry_key, owner, staged, former, position)
  redis.call('HSET', meta_key, 'root', staged, 'owner', owner, 'conversation', conversation_id, 'expiry', expiry)
  if origin then redis.call('HSET', meta_key, 'origin', origin) end
  redis.call('HSET', prefix .. 'conv:' .. staged, 'owner', owner, 'timeline', former)
  redis.call('SADD', prefix .. 'tl:' .. staged .. ':parts', 'conv:' .. staged)
  redis.call('HSET', prefix .. 'conv:' .. conversation_id, 'timeline', staged)
end

