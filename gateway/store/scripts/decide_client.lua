-- Decide on a client that waits: once, whoever is first.
--
-- KEYS[1]  client
-- ARGV     1 approved ("1" / "0")
--
-- Returns 1, or 0 when there is no such client or it does not wait.
local client = read("client", KEYS[1])
if not client or client.n ~= 2 then
  return 0
end
client.n = tonumber(ARGV[1])
write(KEYS[1], client)
return 1
