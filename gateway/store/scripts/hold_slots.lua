-- Hold slots: so many in all from now on, or as many as others leave.
--
-- KEYS[1]  a hash: worker -> "slots until" (ms)
-- ARGV     1 the worker, 2 how many there are, 3 how many it wants to hold, 4 for how long (ms)
--
-- Returns how many it holds, 0, how many are left, 0.
local worker, limit, wanted, life = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local now, others = now_ms(), 0
local held = redis.pcall("HGETALL", KEYS[1])
if held.err then
  error("CORRUPT:limit")
end
for i = 1, #held, 2 do
  local slots, till = string.match(held[i + 1], "^(%d+) (%d+)$")
  if not slots or tonumber(till) <= now then
    redis.call("HDEL", KEYS[1], held[i])
  elseif held[i] ~= worker then
    others = others + tonumber(slots)
  end
end
local granted = math.max(0, math.min(wanted, limit - others))
if granted > 0 then
  redis.call("HSET", KEYS[1], worker, string.format("%.0f %.0f", granted, now + life))
  redis.call("PEXPIRE", KEYS[1], life)
else
  redis.call("HDEL", KEYS[1], worker)
end
return { granted, 0, math.max(0, limit - others - granted), 0 }
