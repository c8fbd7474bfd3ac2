-- Turn a claim into the account.
--
-- KEYS[1]  account
-- KEYS[2]  claim of its name
-- ARGV     1 claim, 2 account (packed, with the claim in it), 3 life (ms, 0 for ever)
--
-- Returns 1 (again for the same claim), or 0 when the claim was lost meanwhile.
local account = read("account", KEYS[1])
if account then
  return account.m == ARGV[1] and 1 or 0
end
if redis.call("GET", KEYS[2]) ~= ARGV[1] then
  return 0
end
account = cmsgpack.unpack(ARGV[2])
if account.i == 0 then
  account.i = now_ms()
end
redis.call("SET", KEYS[1], cmsgpack.pack(account))
if tonumber(ARGV[3]) > 0 then
  redis.call("PEXPIRE", KEYS[1], ARGV[3])
end
redis.call("DEL", KEYS[2])
return 1
