-- End a credential and, if asked, whatever was issued with it.
--
-- KEYS[1]  client
-- KEYS[2]  credential
-- ARGV     1 client key, 2 end its tokens ("1" / "0"), 3 longest life of a token (ms)
--
-- Returns 1, or 0 when the client is gone or the credential is not its own.
local client = read("client", KEYS[1])
local at = client and position(client.k, ARGV[1])
if not at then
  return 0
end
-- First, because a store that is out of memory still deletes, and then lets the script finish.
redis.call("DEL", KEYS[2])

local now, kept = now_ms(), {}
for client_key, retired_at in pairs(client.r) do
  if retired_at > now - tonumber(ARGV[3]) then
    kept[client_key] = retired_at
  end
end
if ARGV[2] == "1" then
  kept[ARGV[1]] = now
end
table.remove(client.k, at)
client.r = kept
write(KEYS[1], client)
return 1
