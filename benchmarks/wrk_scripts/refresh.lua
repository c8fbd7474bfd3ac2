-- Refreshes chains, each with the refresh token of its last answer: `wrk … -- FILE HOST PATH BASIC`.  FILE holds one a line;
-- more of them than connections, so that none is asked for before its answer is there.
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init(arguments)
  tokens, first, last, asked = {}, 1, 0, 0
  for line in io.lines(arguments[1]) do
    last = last + 1
    tokens[last] = line
  end
  head = "POST " .. arguments[3] .. " HTTP/1.1\r\nHost: " .. arguments[2] .. "\r\nAuthorization: Basic " .. arguments[4] ..
    "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: "
end

function request()
  asked = asked + 1
  local body = "grant_type=refresh_token&refresh_token=" .. (tokens[first] or "none-left")
  tokens[first] = nil
  first = first + 1
  return head .. #body .. "\r\n\r\n" .. body
end

function response(status, headers, body)
  last = last + 1
  tokens[last] = body:match('"refresh_token":"([^"]+)"')
end

function done() print("asked " .. threads[1]:get("asked")) end
