-- Take a client off its account.
--
-- KEYS[1]  account
-- ARGV     1 client id
--
-- Returns 1, or 0 when the account is gone or has no such client.
local account = read("account", KEYS[1])
local at = account and position(account.c, ARGV[1])
if not at then
  return 0
end
table.remove(account.c, at)
write(KEYS[1], account)
return 1
