-- Sends the requests of a table, in turn: `wrk … -- FILE HOST`.  FILE holds "METHOD PATH TOKEN" lines.
-- All requests are built before the clock starts; one request costs an index and a table look-up.
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init(arguments)
  requests, sent, asked = {}, 0, 0
  for line in io.lines(arguments[1]) do
    local method, path, token = line:match("^(%S+) (%S+) (%S+)$")
    requests[#requests + 1] = method .. " " .. path .. " HTTP/1.1\r\nHost: " .. arguments[2] ..
      "\r\nAuthorization: Bearer " .. token .. "\r\n\r\n"
  end
  size = #requests
end

function request()
  asked = asked + 1
  sent = sent + 1
  if sent > size then sent = 1 end
  return requests[sent]
end

function done() print("asked " .. threads[1]:get("asked")) end
