-- The bearer token is looked up in Redis at each request: "client scope scope … ".
local redis = require "nginx.redis"

local function refuse(status, challenge)
  ngx.header["WWW-Authenticate"] = challenge
  return ngx.exit(status)
end

return function(scope)
  local authorization = ngx.var.http_authorization
  if not authorization then return refuse(401, "Bearer") end
  local token = authorization:match("^[Bb]earer +([%w._~+/-]+=*)$")
  if not token then return refuse(401, 'Bearer error="invalid_token"') end

  local store = redis:new()
  store:set_timeout(500)
  if not store:connect("127.0.0.1", STORE_PORT) then return ngx.exit(503) end
  local record, failure = store:get("bench:" .. token)
  if failure then return ngx.exit(503) end
  store:set_keepalive(60000, 256)
  if record == ngx.null then return refuse(401, 'Bearer error="invalid_token"') end

  local blank = record:find(" ", 1, true)
  if not record:find(" " .. scope .. " ", blank, true) then
    return refuse(403, 'Bearer error="insufficient_scope", scope="' .. scope .. '"')
  end
  ngx.var.client = record:sub(1, blank - 1)
  ngx.var.scopes = record:sub(blank + 1, -2)
end
