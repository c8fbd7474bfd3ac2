-- Add to the counts of what routes that only report would have refused.
--
-- KEYS[1]  the counts, a hash; its field "" is when the first one came (ms)
-- ARGV     1 how long they are kept after the last (ms), 2 most fields (> 0), then field, number, field, number, ...
--
-- What is new beyond the most is not kept.  Returns how many numbers were not.
local size, lost = redis.call("HLEN", KEYS[1]), 0
if size == 0 then
  redis.call("HSET", KEYS[1], "", string.format("%.0f", now_ms()))
  size = 1
end
for i = 3, #ARGV, 2 do
  if redis.call("HEXISTS", KEYS[1], ARGV[i]) == 1 then
    redis.call("HINCRBY", KEYS[1], ARGV[i], ARGV[i + 1])
  elseif size < tonumber(ARGV[2]) then
    redis.call("HINCRBY", KEYS[1], ARGV[i], ARGV[i + 1])
    size = size + 1
  else
    lost = lost + 1
  end
end
redis.call("PEXPIRE", KEYS[1], ARGV[1])
return lost
