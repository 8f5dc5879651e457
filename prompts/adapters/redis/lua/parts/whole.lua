-- An item's JSON with what is kept with it for the model's server, which nobody is shown. `fields` are those of its entry:
-- k, id, i, item, t, tokens, and where something is kept w, kept (JSON array).
local function read_whole(fields)
  if not fields[8] then return fields[4] end
  return string.sub(fields[4], 1, -2) .. ',"eps:kept":' .. fields[8] .. '}'
end
