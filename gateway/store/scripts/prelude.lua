-- What stands before each script: the clock, packed records, and the rules that several scripts share.
--
-- Fields of the packed records (gateway/store/codec.py):
--   client      c id, a account, n enabled (1; 0 no; 2 pending), s scopes, p permissions, e epoch, k keys, r retired with
--               its tokens, g retired without, i issued, o grant types ("" or absent: all), u redirect URIs (absent: none), m 1 for a public one,
--               N name, A and R life of its access tokens and chains (ms), M and L most live chains and access tokens
--               (absent or 0: as configured),
--               f format of its access tokens (absent or "": as configured), P its plan (absent or "": default),
--               O which of o, s and u the operator has set, by spaces (absent: none)
--   credential  c client id, k client key, d digest, i issued, x expires (0 never), j public key (a JWK, in place of a secret)
--   token       c client id*, k client key*, h chain id ("" none), s scopes, e epoch, i issued, x expires,
--               u subject (absent: the client's own), w resources that it is for, by spaces (absent: all)
--   chain       c client id*, k client key*, s scopes, e epoch, i issued, x expires, d current digest ("" none any more),
--               a live access tokens, oldest first: digest, expiry, digest, expiry, ...
--               and since its first rotation: p previous digest, t when, q scopes asked for then, b sealed successor
--               (absent without a grace), y expiry of the successor's access token;
--               v resources asked for then; w resources (absent: all);
--               on behalf of somebody: u subject, l how long it may lie idle (ms), z when it ends at last
--   code        c client id*, u subject, s scopes, r redirect URI ("" none named), v challenge, g mark of the consent,
--               e epoch, w resources (absent: all); once used: h the chain that it began
--   consent     s scopes, e mark (us: one that is forgotten and given again has another)
--   account     u username, h password hash, c client ids, i issued, s subject, m the claim that it grew from
--   session     u username, p proof of the password, i begun, t seen
-- * without its first seven characters, the kind and the partition, which the record's key says too.
-- Digests and chain ids are bytes, here and in keys.
-- A field that is not named here belongs to a newer version: it stays.

local MAX_ACCESS = 256 -- live access tokens of one chain
local MAX_SOURCES = 64 -- marks of where a credential was used
local LAST_USE_KEPT = 400 * 24 * 3600 * 1000 -- ms

-- The store's clock; no script is told the time.
local function now_us()
  local time = redis.call("TIME")
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- The record at a key, or nil; an error that names the kind when anything else is there.
local function read(kind, key)
  local value = redis.pcall("GET", key)
  if not value then
    return nil
  end
  local whole, record = pcall(cmsgpack.unpack, value)
  if not whole or type(record) ~= "table" then
    error("CORRUPT:" .. kind)
  end
  return record
end

local function write(key, record)
  redis.call("SET", key, cmsgpack.pack(record), "KEEPTTL")
end

-- The entries of a map of times that are younger than one.
local function younger(times, than)
  local kept = {}
  for name, time in pairs(times) do
    if time > than then
      kept[name] = time
    end
  end
  return kept
end

local function position(list, item)
  for i, other in ipairs(list) do
    if other == item then
      return i
    end
  end
  return nil
end

-- Nothing leads to a credential by its secret any more; one that can't be read has nothing that could be found.
local function forget_secret(credential_key, secret_prefix)
  local whole, credential = pcall(read, "credential", credential_key)
  if whole and credential and credential.d then
    redis.call("DEL", secret_prefix .. credential.d)
  end
end

-- Have keys end at a time of their own, or at another one that is earlier (ms; 0: never).
local function end_at(keys, own, till)
  local ends = (own > 0 and (till == 0 or own < till)) and own or till
  for _, key in ipairs(keys) do
    if ends > 0 then
      redis.call("PEXPIREAT", key, ends)
    else
      redis.call("PERSIST", key)
    end
  end
end

-- Have keys of a client end at a time of their own (ms; 0: never), or with it where that is earlier: one that is provisional, or
-- unused, vanishes.
local function end_with_client(client_key, own, keys)
  local life = redis.call("PTTL", client_key)
  end_at(keys, own, life > 0 and now_ms() + life or 0)
end

-- Whether a client may get tokens now with this credential.
local function may_act(client, client_key, credential)
  return client and client.n == 1 and position(client.k, client_key) and redis.call("EXISTS", credential) == 1
end

-- Whether each of these words is one of those.
local function within(asked, granted)
  local allowed = {}
  for word in string.gmatch(granted, "%S+") do
    allowed[word] = true
  end
  for word in string.gmatch(asked, "%S+") do
    if not allowed[word] then
      return false
    end
  end
  return true
end

-- What tokens and chains keep of an id.
local function short(id)
  return string.sub(id, 8)
end

-- Count a new access token of a client, or say how long it must wait (ms) because `most` that were issued have not expired: those
-- that were ended early count until they would have.  A hash: n how many, and by a time (ms) how many have expired by then, in
-- steps of a sixteenth of their life.  What has expired is taken off only when there seem to be too many.
local function count_token(key, now, ttl, most)
  local step = math.max(math.ceil(ttl / 16), 1000)
  local till = math.ceil((now + ttl) / step) * step
  local count = redis.call("HINCRBY", key, "n", 1)
  if count > most then
    local fields, soonest = redis.call("HGETALL", key), math.huge
    for i = 1, #fields, 2 do
      local time = tonumber(fields[i])
      if time and time <= now then
        redis.call("HDEL", key, fields[i])
        count = count - tonumber(fields[i + 1])
      elseif time then
        soonest = math.min(soonest, time)
      end
    end
    redis.call("HSET", key, "n", count > most and count - 1 or count)
    if count > most then
      return soonest - now
    end
  end
  redis.call("HINCRBY", key, string.format("%.0f", till), 1)
  if redis.call("PTTL", key) < till - now then
    redis.call("PEXPIREAT", key, till)
  end
  return nil
end

local function store_token(key, client, client_key, chain_id, scopes, now, ttl, subject, resources)
  local token = {
    c = short(client.c), k = short(client_key), h = chain_id, s = scopes, e = client.e, i = now, x = now + ttl, u = subject,
    w = resources ~= "" and resources or nil,
  }
  redis.call("SET", key, cmsgpack.pack(token), "PXAT", now + ttl)
end

-- Note that a credential is used: the time, and from where, as marks of two bytes each behind a space ("" for nowhere known).
local function store_last_use(key, now, mark)
  local value = redis.call("GET", key) or ""
  local space = string.find(value, " ", 1, true)
  local marks = space and string.sub(value, space + 1) or ""
  if mark ~= "" and #marks < 2 * MAX_SOURCES then
    local known = false
    for at = 1, #marks, 2 do
      known = known or string.sub(marks, at, at + 1) == mark
    end
    marks = known and marks or marks .. mark
  end
  redis.call("SET", key, string.format("%.0f ", now) .. marks, "PX", LAST_USE_KEPT)
end

-- Note in its index until when a chain can be of use; the index lives as long as the last of them.
local function index_chain(index, chain_id, till, now)
  redis.call("ZADD", index, till, chain_id)
  -- Not EXPIRE ... GT, which is younger than Redis 6.2 and skips a key without a TTL, as this one is at first.
  if redis.call("PTTL", index) < till - now then
    redis.call("PEXPIREAT", index, till)
  end
end

-- Write a chain for as long as its refresh token or one of its access tokens lives.
local function store_chain(key, chain, now)
  local till = chain.d ~= "" and chain.x or 0
  for i = 2, #chain.a, 2 do
    till = math.max(till, chain.a[i])
  end
  if till > now then
    redis.call("SET", key, cmsgpack.pack(chain), "PXAT", till)
  else
    redis.call("DEL", key)
  end
end

-- The index that a chain stands in: the client's, or that of the client and the account on whose behalf it is.
local function index_of(client_index, chain)
  return chain.u and client_index .. ":" .. chain.u or client_index
end

-- End a chain with all its access tokens; token_prefix and a digest make the key of one (same hash tag).
local function end_chain(key, chain_id, chain, client_index, token_prefix)
  redis.call("DEL", key)
  redis.call("ZREM", index_of(client_index, chain), chain_id)
  for i = 1, #chain.a, 2 do
    redis.call("DEL", token_prefix .. chain.a[i])
  end
end

