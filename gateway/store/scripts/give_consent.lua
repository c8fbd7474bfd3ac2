-- Remember what an account lets a client do, beside what it did before.
--
-- KEYS[1]  consent
-- ARGV     1 scopes, 2 how long it is remembered from now (ms)
--
-- Returns its mark.
local consent = read("consent", KEYS[1]) or { s = "", e = now_us() }
local all = {}
for scope in string.gmatch(consent.s .. " " .. ARGV[1], "%S+") do
  if not position(all, scope) then
    all[#all + 1] = scope
  end
end
table.sort(all)
consent.s = table.concat(all, " ")
redis.call("SET", KEYS[1], cmsgpack.pack(consent), "PX", ARGV[2])
return consent.e
