-- End a credential and, if asked, whatever was issued with it; that may also be asked later, of one that is retired already.
--
-- KEYS[1]  client
-- KEYS[2]  credential
-- ARGV     1 client key, 2 end its tokens ("1" / "0"), 3 longest life of a token (ms),
--          4 prefix of what leads from a secret to its credential
--
-- Returns 1, or 0 when the client is gone or the credential is not its own (or there is nothing left to end of it).
local client = read("client", KEYS[1])
local at = client and position(client.k, ARGV[1])
local only_tokens = client and not at and ARGV[2] == "1" and client.g and client.g[ARGV[1]]
if not at and not only_tokens then
  return 0
end
-- First, because a store that is out of memory still deletes, and then lets the script finish.
forget_secret(KEYS[2], ARGV[4])
redis.call("DEL", KEYS[2])

local now = now_ms()
local oldest = now - tonumber(ARGV[3])
local ended, retired = younger(client.r, oldest), younger(client.g or {}, oldest)
if ARGV[2] == "1" then
  ended[ARGV[1]], retired[ARGV[1]] = now, nil
else
  retired[ARGV[1]] = now
end
if at then
  table.remove(client.k, at)
end
client.r, client.g = ended, retired
write(KEYS[1], client)
return 1
