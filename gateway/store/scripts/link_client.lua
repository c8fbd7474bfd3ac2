-- Add a client to its account.
--
-- KEYS[1]  account
-- ARGV     1 client id, 2 most clients (> 0), 3 life of the client (ms, 0 for ever): its account lives as long
--
-- Returns 1 (again for the same client), or 0 when the account is gone or has that many already.
local account = read("account", KEYS[1])
if not account then
  return 0
end
if position(account.c, ARGV[1]) then
  return 1
end
if #account.c >= tonumber(ARGV[2]) then
  return 0
end
table.insert(account.c, ARGV[1])
write(KEYS[1], account)
local life, left = tonumber(ARGV[3]), redis.call("PTTL", KEYS[1])
if life == 0 then
  redis.call("PERSIST", KEYS[1])
elseif left >= 0 and left < life then
  redis.call("PEXPIRE", KEYS[1], life)
end
return 1
