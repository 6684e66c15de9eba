-- KEYS: the entries, when each may go, the news.
-- ARGV: how many news are kept; whether to write what is there already; then for each order a name, a kind, a cut and an end.
-- Numbers are compared as text, because Lua's have 53 bits.
local function reaches(a, b)
  if #a ~= #b then return #a > #b end
  return a >= b
end

-- An order is kept until ten minutes after its end, by the engine's clock: those of nodes may differ, and tokens have a leeway.
local now = tonumber(redis.call('TIME')[1])
local function seconds(nanoseconds) return tonumber(string.sub(nanoseconds, 1, -10)) or 0 end
local function is_over(till) return seconds(till) + 600 < now end

-- A few that are over: as many as may come, and some more. First, since an engine that is full refuses what comes after.
local few = 10 + #ARGV
for _, name in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - 600, 'LIMIT', 0, few)) do
  redis.call('HDEL', KEYS[1], name)
  redis.call('ZREM', KEYS[2], name)
end

for i = 3, #ARGV, 4 do
  local name, kind, cut, till = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  local held = redis.call('HGET', KEYS[1], name)
  local kept, adds, last = {}, true, till
  for word in string.gmatch(held or '', '%S+') do
    local k, c, t = string.match(word, '^(%a+):(%d+):(%d+)$')
    if not t or k ~= kind then
      -- Another kind, or a word of a later version.
      if not (t and is_over(t)) then kept[#kept + 1] = word end
    elseif reaches(c, cut) and reaches(t, till) then
      adds = false
      kept[#kept + 1] = word
    elseif not (reaches(cut, c) and reaches(till, t)) and not is_over(t) then
      kept[#kept + 1] = word
    end
    if t and reaches(t, last) then last = t end
  end
  if adds then kept[#kept + 1] = kind .. ':' .. cut .. ':' .. till end
  local merged = table.concat(kept, ' ')
  if adds or ARGV[2] == '1' then
    redis.call('HSET', KEYS[1], name, merged)
    redis.call('ZADD', KEYS[2], seconds(last) + 1, name)
  end
  if adds then
    redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[1], '*', 'name', name, 'entry', merged)
  end
end

local newest = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', 1)[1]
return newest and newest[1] or ''
