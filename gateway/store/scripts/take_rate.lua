-- Take permits of a rate, as many as there are (GCRA).
--
-- KEYS[1]  the theoretical arrival time (us): when the limit would be whole again, had it begun now
-- ARGV     1 time from one permit to the next (us), 2 most that are saved up, 3 how many are asked for
--
-- Returns how many were granted, the time until there is one more (us), how many are left, the time until it is whole (us).
local interval, burst, asked = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local now = now_us()
local value = redis.pcall("GET", KEYS[1])
if type(value) == "table" and value.err then
  error("CORRUPT:limit")
end
local tat = now
if value then
  tat = tonumber(value)
  if not tat then
    error("CORRUPT:limit")
  end
  tat = math.max(now, math.min(tat, now + burst * interval)) -- of a clock that was ahead no more than a whole burst counts
end
local free = math.floor((now + burst * interval - tat) / interval + 0.000001)
local granted = math.min(asked, free)
if granted > 0 then
  tat = tat + granted * interval
  redis.call("SET", KEYS[1], string.format("%.3f", tat), "PX", math.max(1, math.ceil((tat - now) / 1000)))
end
return { granted, math.max(0, math.ceil(tat + interval - burst * interval - now)), free - granted, math.ceil(tat - now) }
