-- Take of a quota, or give back.
--
-- KEYS[1]  "period count": the number of a day or month (since 1970, UTC), and what was taken in it
-- ARGV     1 by month ("1" / "0"), 2 the amount, 3 how many are asked for, 4 what to count in any case; less than 0: to give back,
--          5 of which period that was taken
--
-- Of what is left an eighth at most is granted at once, so that the end is shared; but one if there is one.
-- Returns how many were granted, the time until the next period (ms), how many are left, the same time again, the period.
local by_month, amount, asked, counted = ARGV[1] == "1", tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now = now_ms()
local DAY = 86400000

-- Number of a month, and of its first day and that of the next (days since 1970): H. Hinnant's civil calendar.
local function month_of(day)
  local z = day + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return (year - 1970) * 12 + month - 1
end

local function first_day(month_number)
  local year, month = 1970 + math.floor(month_number / 12), month_number % 12 + 1
  local y = month <= 2 and year - 1 or year
  local era = math.floor(y / 400)
  local yoe = y - era * 400
  local doy = math.floor((153 * (month > 2 and month - 3 or month + 9) + 2) / 5)
  return era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
end

local period = math.floor(now / DAY)
local ends = (period + 1) * DAY
if by_month then
  period = month_of(period)
  ends = first_day(period + 1) * DAY
end
local value = redis.pcall("GET", KEYS[1])
if type(value) == "table" and value.err then
  error("CORRUPT:limit")
end
local count = 0
if value then
  local of, taken = string.match(value, "^(%d+) (%d+)$")
  if not of then
    error("CORRUPT:limit")
  end
  count = tonumber(of) == period and tonumber(taken) or 0
end
if counted > 0 or tonumber(ARGV[5]) == period then
  count = math.max(0, count + counted)
end
local left = math.max(0, amount - count)
local granted = math.min(asked, left, math.max(1, math.floor(left / 8)))
count = count + granted
if granted > 0 or counted ~= 0 then
  redis.call("SET", KEYS[1], string.format("%.0f %.0f", period, count), "PXAT", ends)
end
return { granted, ends - now, left - granted, ends - now, period }
