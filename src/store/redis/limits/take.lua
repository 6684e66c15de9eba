-- KEYS: the caller's. ARGV: in microseconds, the time in which one request comes back, and the time in which a spent quota is
-- whole again. Answers {1, the time until the quota is whole} or {0, the time until a request may pass}.
local interval, recovery = tonumber(ARGV[1]), tonumber(ARGV[2])
-- Half a microsecond more, because sums of fractions are a little off.
local most = recovery + 0.5

-- What is held is the time at which the quota is whole, in microseconds since 2026: so few that a double has fractions of one.
local time = redis.call('TIME')
local now = (time[1] - 1767225600) * 1000000 + time[2]
local function hold(whole)
  local rest = math.max(1, math.ceil((whole - now) / 1000))
  redis.call('SET', KEYS[1], string.format('%.17g', whole), 'PX', string.format('%.0f', rest))
end

local held = redis.pcall('GET', KEYS[1])
local error = type(held) == 'table' and held.err
if error and not string.find(error, 'WRONGTYPE', 1, true) then return held end

local whole = now
if held then
  whole = not error and tonumber(held)
  -- Written by somebody else, under a larger quota, or before the clock was set back. 'nan' compares with nothing.
  if not (whole and whole <= now + most) then
    whole = now + recovery
    hold(whole)
  end
end

local debt = math.max(whole - now, 0) + interval
if debt > most then
  -- There is a key, so this writes nothing. But a replica, which may have been left behind, refuses it.
  redis.call('SET', KEYS[1], '', 'NX', 'PX', 1)
  return {0, math.ceil(debt - recovery)}
end
hold(now + debt)
-- Rounded down: this clock counts whole microseconds, so by now it is later.
return {1, math.floor(debt)}
