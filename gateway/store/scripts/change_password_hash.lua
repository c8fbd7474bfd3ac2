-- Replace the hash of an account's password.
--
-- KEYS[1]  account
-- ARGV     1 the hash that it has, 2 the new one
--
-- Returns 1, or 0 when the account is gone or has another hash.
local account = read("account", KEYS[1])
if not account or account.h ~= ARGV[1] then
  return 0
end
account.h = ARGV[2]
write(KEYS[1], account)
return 1
