-- Present a refresh token, and decide in one step what becomes of it.
--
-- KEYS[1]  client           KEYS[4]  chain
-- KEYS[2]  credential       KEYS[5]  index of the client's live chains
-- KEYS[3]  last use         KEYS[6]  the new access token
--                           KEYS[7]  count of the client's access tokens
-- ARGV     1 client id (short), 2 client key, 3 chain id, 4 digest presented, 5 digest of the successor, 6 new access digest,
--          7 sealed successor, 8 scopes asked for, 9 whether any were ("1" / "0"), 10 access ttl (ms, > 0),
--          11 grace (ms, 0 for none), 12 token prefix, 13 mark of the source,
--          14 resources asked for, by spaces ("": those of the chain), 15 most live access tokens (> 0)
--
-- Touches the chain's access tokens under the prefix too (same hash tag).
-- Returns {"rotated", scopes}, {"repeated", scopes, ms that the access token has left, sealed successor},
-- {"full", ms to wait} (too many access tokens), {"widened"} or {"misdirected"} (scopes or resources beyond the chain's),
-- {"replayed"} or {"unknown"}; only the first and "replayed" change anything but the last use.
local client_key, chain_id, presented = ARGV[2], ARGV[3], ARGV[4]
local access_ttl, grace = tonumber(ARGV[10]), tonumber(ARGV[11])
local now = now_ms()

local client = read("client", KEYS[1])
local chain = read("chain", KEYS[4])
-- A stranger may neither use nor kill the chain, so all this comes before the digest is looked at.
if
  not may_act(client, client_key, KEYS[2])
  or not chain
  or chain.c ~= ARGV[1]
  or chain.d == ""
  or now >= chain.x
  or chain.e < client.e
  or client.r[string.sub(client_key, 1, 7) .. chain.k]
then
  return { "unknown" }
end
local asked = ARGV[9] == "1" and ARGV[8] or chain.s
local resources = ARGV[14] ~= "" and ARGV[14] or chain.w or ""

if presented == chain.d then
  if not within(asked, chain.s) then
    return { "widened" }
  end
  if chain.w and not within(resources, chain.w) then
    return { "misdirected" }
  end
  local wait = count_token(KEYS[7], now, access_ttl, tonumber(ARGV[15]))
  if wait then
    return { "full", wait }
  end
  store_token(KEYS[6], client, client_key, chain_id, asked, now, access_ttl, chain.u, resources)
  store_last_use(KEYS[3], now, ARGV[13])

  local live = {}
  for i = 1, #chain.a, 2 do
    if chain.a[i + 1] > now then
      live[#live + 1], live[#live + 2] = chain.a[i], chain.a[i + 1]
    end
  end
  live[#live + 1], live[#live + 2] = ARGV[6], now + access_ttl
  while #live > 2 * MAX_ACCESS do
    redis.call("DEL", ARGV[12] .. table.remove(live, 1))
    table.remove(live, 1)
  end

  -- The new tokens are issued with the credential that was presented now: retiring that one ends them.
  chain.k, chain.d, chain.p, chain.t, chain.a = short(client_key), ARGV[5], presented, now, live
  chain.v = resources ~= "" and resources or nil
  chain.q, chain.y, chain.b = asked, now + access_ttl, grace > 0 and ARGV[7] or nil
  if chain.u then
    chain.x = math.min(now + chain.l, chain.z)
    index_chain(index_of(KEYS[5], chain), chain_id, math.max(chain.x, now + access_ttl), now)
  end
  store_chain(KEYS[4], chain, now)
  return { "rotated", asked }
end

if presented == chain.p and chain.b and now < chain.t + grace then
  if asked ~= chain.q or resources ~= (chain.v or "") then
    return { "unknown" }
  end
  store_last_use(KEYS[3], now, ARGV[13])
  return { "repeated", asked, math.max(chain.y - now, 0), chain.b }
end

end_chain(KEYS[4], chain_id, chain, KEYS[5], ARGV[12])
return { "replayed" }
