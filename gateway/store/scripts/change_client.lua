-- Change what is given of a client, in one write that every verdict cache hears of.
--
-- KEYS[1]  client
-- ARGV     1 fields and their new values (packed), 2 end all its tokens ("1" / "0"), 3 whether it is the client that asks: what the
--          operator has set stays then ("1" / "0")
--
-- Returns the client as it is now (packed), or false when there is none.
local client = read("client", KEYS[1])
if not client then
  return false
end
local fixed = ARGV[3] == "1" and client.O or ""
for field, value in pairs(cmsgpack.unpack(ARGV[1])) do
  if not within(field, fixed) then
    client[field] = value
  end
end
if ARGV[2] == "1" then
  client.e = client.e + 1
end
write(KEYS[1], client)
return redis.call("GET", KEYS[1])
