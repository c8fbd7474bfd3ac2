-- Store a new access token and, if there is a refresh token, the chain that it begins; index the chain, and take the
-- refresh tokens (never access tokens) from the client's oldest chains when it has too many.
--
-- KEYS[1]  client           KEYS[4]  last use of the credential
-- KEYS[2]  credential       KEYS[5]  count of the client's access tokens
-- KEYS[3]  access token     KEYS[6]  chain
--                           KEYS[7]  index of the client's live chains
-- ARGV     1 client key, 2 scopes, 3 access digest, 4 access ttl (ms, > 0), 5 chain id ("" for none; then 6-8
--          and KEYS 6-7 are not used), 6 refresh digest, 7 refresh ttl (ms, > 0), 8 most live chains (> 0), 9 chain prefix,
--          10 mark of the source, 11 resources, by spaces ("": all), 12 most live access tokens (> 0)
--
-- Touches the chains under the prefix too (same hash tag).
-- Returns 1 when stored, 2 when stored and the client is not kept for ever yet, 0 when the client is gone or disabled or the
-- credential is no more, or less than 0: the ms to wait, when the client has too many access tokens.
local client_key, scopes, chain_id, chain_prefix = ARGV[1], ARGV[2], ARGV[5], ARGV[9]
local access_ttl, refresh_ttl, most = tonumber(ARGV[4]), tonumber(ARGV[7]), tonumber(ARGV[8])
local now = now_ms()

local client = read("client", KEYS[1])
if not may_act(client, client_key, KEYS[2]) then
  return 0
end
local wait = count_token(KEYS[5], now, access_ttl, tonumber(ARGV[12]))
if wait then
  return -wait
end

-- A chain without a refresh token: it only remembers its access tokens, for revocation.
local function strip(id)
  local key = chain_prefix .. id
  local chain = read("chain", key)
  if chain then
    chain.d, chain.p, chain.t, chain.q, chain.v, chain.b, chain.y = "", nil, nil, nil, nil, nil, nil
    store_chain(key, chain, now)
  end
end

store_token(KEYS[3], client, client_key, chain_id, scopes, now, access_ttl, nil, ARGV[11])
store_last_use(KEYS[4], now, ARGV[10])
local stored = redis.call("PTTL", KEYS[1]) < 0 and 1 or 2
if chain_id == "" then
  return stored
end

-- Chains that ended by themselves are counted until there seem to be too many: the index never holds more than that.
local count = redis.call("ZCARD", KEYS[7])
if count >= most then
  count = count - redis.call("ZREMRANGEBYSCORE", KEYS[7], "-inf", now)
  -- At most 64 a call: a limit that was lowered by far is reached step by step, without blocking the store.
  local surplus = math.min(count - most + 1, 64)
  if surplus > 0 then
    local oldest = redis.call("ZPOPMIN", KEYS[7], surplus)
    for i = 1, #oldest, 2 do
      strip(oldest[i])
    end
  end
end

local expires = now + refresh_ttl
local chain = {
  c = short(client.c), k = short(client_key), s = scopes, e = client.e, i = now, x = expires, d = ARGV[6],
  a = { ARGV[3], now + access_ttl },
  w = ARGV[11] ~= "" and ARGV[11] or nil,
}
store_chain(KEYS[6], chain, now)
index_chain(KEYS[7], chain_id, expires, now)
return stored
