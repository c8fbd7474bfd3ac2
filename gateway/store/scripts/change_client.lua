-- Change what is given of a client, in one write that every verdict cache hears of.
--
-- KEYS[1]  client
-- ARGV     1 fields and their new values (packed), 2 end all its tokens ("1" / "0")
--
-- Returns the client as it is now (packed), or false when there is none.
local client = read("client", KEYS[1])
if not client then
  return false
end
for field, value in pairs(cmsgpack.unpack(ARGV[1])) do
  client[field] = value
end
if ARGV[2] == "1" then
  client.e = client.e + 1
end
write(KEYS[1], client)
return redis.call("GET", KEYS[1])
