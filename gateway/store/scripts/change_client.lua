-- Change what is given of a client, in one write that every verdict cache hears of.
--
-- KEYS[1]  client
-- ARGV     1 enabled ("1", "0", "" unchanged), 2 scopes are given ("1" / "0"), 3 scopes, 4 permissions are given ("1" / "0"),
--          5 permissions, 6 end all its tokens ("1" / "0"), 7 grant types are given ("1" / "0"), 8 grant types,
--          9 redirect URIs are given ("1" / "0"), 10 redirect URIs, separated by spaces
--
-- Returns the client as it is now (packed), or false when there is none.
local client = read("client", KEYS[1])
if not client then
  return false
end
if ARGV[1] ~= "" then
  client.n = tonumber(ARGV[1])
end
if ARGV[2] == "1" then
  client.s = ARGV[3]
end
if ARGV[4] == "1" then
  client.p = ARGV[5]
end
if ARGV[6] == "1" then
  client.e = client.e + 1
end
if ARGV[7] == "1" then
  client.o = ARGV[8]
end
if ARGV[9] == "1" then
  client.u = {}
  for uri in string.gmatch(ARGV[10], "%S+") do
    table.insert(client.u, uri)
  end
end
write(KEYS[1], client)
return redis.call("GET", KEYS[1])
