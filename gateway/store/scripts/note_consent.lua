-- Note to which client an account gives a consent, so that it can be found again.
--
-- KEYS[1]  account
-- KEYS[2]  the consents that it gave, a hash: client id -> time (ms)
-- ARGV     1 client id, 2 subject, 3 most consents (> 0), 4 how long they are remembered from now (ms)
--
-- Those that are over by themselves are forgotten here.
-- Returns 1, 0 when it gave that many already, or -1 when the account is gone, or is another one of that name by now.
local account = read("account", KEYS[1])
if not account or (account.s and account.s ~= ARGV[2]) then -- one made before there were subjects has none
  return -1
end
local now, given = now_ms(), redis.call("HGETALL", KEYS[2])
local live = 0
for i = 1, #given, 2 do
  if tonumber(given[i + 1]) <= now - tonumber(ARGV[4]) then
    redis.call("HDEL", KEYS[2], given[i])
  elseif given[i] ~= ARGV[1] then
    live = live + 1
  end
end
if live >= tonumber(ARGV[3]) then
  return 0
end
redis.call("HSET", KEYS[2], ARGV[1], now)
redis.call("PEXPIRE", KEYS[2], ARGV[4])
return 1
