-- Read a record together with the client that it names.
--
-- KEYS[1]  credential, access token or chain
-- ARGV     1 kind of the record, 2 client prefix: what stands before the client id as the record keeps it
--
-- Reads the client under the prefix too (same hash tag).
-- Returns {record, client or false, the time}, the first two packed, or false when there is no such record.
local record = read(ARGV[1], KEYS[1])
if not record then
  return false
end
return { redis.call("GET", KEYS[1]), redis.call("GET", ARGV[2] .. record.c), now_ms() }
