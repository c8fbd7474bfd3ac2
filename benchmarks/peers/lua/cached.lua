-- As redis.lua, but a verdict is kept for a minute in a dictionary that all workers share.
local redis = require "nginx.redis"
local verdicts = ngx.shared.verdicts

local function refuse(status, challenge)
  ngx.header["WWW-Authenticate"] = challenge
  return ngx.exit(status)
end

local function look_up(token)
  local store = redis:new()
  store:set_timeout(500)
  if not store:connect("127.0.0.1", STORE_PORT) then return ngx.exit(503) end
  local record, failure = store:get("bench:" .. token)
  if failure then return ngx.exit(503) end
  store:set_keepalive(60000, 256)
  if record == ngx.null then return nil end
  verdicts:set(token, record, 60)
  return record
end

return function(scope)
  local authorization = ngx.var.http_authorization
  if not authorization then return refuse(401, "Bearer") end
  local token = authorization:match("^[Bb]earer +([%w._~+/-]+=*)$")
  if not token then return refuse(401, 'Bearer error="invalid_token"') end

  local record = verdicts:get(token) or look_up(token)
  if not record then return refuse(401, 'Bearer error="invalid_token"') end

  local blank = record:find(" ", 1, true)
  if not record:find(" " .. scope .. " ", blank, true) then
    return refuse(403, 'Bearer error="insufficient_scope", scope="' .. scope .. '"')
  end
  ngx.var.client = record:sub(1, blank - 1)
  ngx.var.scopes = record:sub(blank + 1, -2)
end
