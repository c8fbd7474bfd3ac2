-- Exchange an authorization code, once, for an access token and its chain (RFC 6749 section 4.1.3), and decide in one step.
--
-- KEYS[1]  client           KEYS[4]  code             KEYS[7]  chain
-- KEYS[2]  credential       KEYS[5]  consent          KEYS[8]  index of the client's live chains (the subject is appended)
-- KEYS[3]  last use         KEYS[6]  access token     KEYS[9]  count of the client's access tokens
-- ARGV     1 client key, 2 whether redirect URI and verifier are right ("1" / "0"), 3 access digest, 4 access ttl (ms, > 0),
--          5 chain id, 6 refresh digest ("" for none), 7 how long the chain may lie idle (ms), 8 its longest life (ms),
--          9 most live chains of this client and account (> 0), 10 chain prefix, 11 token prefix,
--          12 how long a used code is remembered (ms), 13 mark of the source,
--          14 resources of the access token, by spaces ("": those of the code), 15 most live access tokens (> 0)
--
-- Touches the chains and access tokens under the prefixes too (same hash tag).
-- Returns {"issued", scopes, 1 or 2 (the client is not kept for ever yet)}, {"full", ms to wait} (too many access tokens; the code
-- stays good), {"burned"}, {"replayed"} or {"unknown"}; the last one changes nothing: a stranger may neither use nor burn a code.
local client_key, chain_id = ARGV[1], ARGV[5]
local access_ttl, idle, longest = tonumber(ARGV[4]), tonumber(ARGV[7]), tonumber(ARGV[8])
local now = now_ms()

local client = read("client", KEYS[1])
local code = read("code", KEYS[4])
if not may_act(client, client_key, KEYS[2]) or not code or code.c ~= short(client.c) then
  return { "unknown" }
end
if code.h then -- whoever used it first, one of the two was a thief
  local begun = read("chain", ARGV[10] .. code.h)
  if begun then
    end_chain(ARGV[10] .. code.h, code.h, begun, KEYS[8], ARGV[11])
  end
  return { "replayed" }
end
if ARGV[2] ~= "1" then
  redis.call("DEL", KEYS[4])
  return { "burned" }
end
local consent = read("consent", KEYS[5])
if not consent or consent.e ~= code.g or code.e < client.e then
  return { "unknown" }
end

local wait = count_token(KEYS[9], now, access_ttl, tonumber(ARGV[15]))
if wait then
  return { "full", wait }
end

code.h = chain_id
redis.call("SET", KEYS[4], cmsgpack.pack(code), "PX", ARGV[12])
store_token(KEYS[6], client, client_key, chain_id, code.s, now, access_ttl, code.u, ARGV[14] ~= "" and ARGV[14] or code.w)
store_last_use(KEYS[3], now, ARGV[13])
local chain = {
  c = short(client.c), k = short(client_key), s = code.s, e = client.e, i = now, d = ARGV[6], a = { ARGV[3], now + access_ttl },
  x = now + math.min(idle, longest), u = code.u, l = idle, z = now + longest, w = code.w,
}

-- The chain that would end first makes room; 64 at most a call.
local index = index_of(KEYS[8], chain)
redis.call("ZREMRANGEBYSCORE", index, "-inf", now)
for _ = 1, math.min(redis.call("ZCARD", index) - tonumber(ARGV[9]) + 1, 64) do
  local oldest = redis.call("ZPOPMIN", index)[1]
  local ended = read("chain", ARGV[10] .. oldest)
  if ended then
    end_chain(ARGV[10] .. oldest, oldest, ended, KEYS[8], ARGV[11])
  end
end
store_chain(KEYS[7], chain, now)
index_chain(index, chain_id, math.max(ARGV[6] ~= "" and chain.x or 0, now + access_ttl), now)
return { "issued", code.s, redis.call("PTTL", KEYS[1]) < 0 and 1 or 2 }
