-- Keep an account for ever: one of its clients is used.
--
-- KEYS[1]  account
-- ARGV     1 client id
--
-- Returns 1, or 0 when the account is gone or the client is none of its own.
local account = read("account", KEYS[1])
if not account or not position(account.c, ARGV[1]) then
  return 0
end
redis.call("PERSIST", KEYS[1])
return 1
