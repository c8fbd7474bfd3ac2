-- Delete an account that has no clients any more; its username is free then.
--
-- KEYS[1]  account
-- KEYS[2]  the consents that it gave
--
-- Returns 1 (also when there is none), or 0 when it has clients.
local account = read("account", KEYS[1])
if account and #account.c > 0 then
  return 0
end
redis.call("DEL", KEYS[1], KEYS[2])
return 1
