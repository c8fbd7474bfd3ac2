-- POST /oauth/token as the clients of a file, in turn: `wrk … -- FILE HOST PATH`.  FILE holds one Basic credential a line.
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init(arguments)
  requests, sent, asked = {}, 0, 0
  local body = "grant_type=client_credentials"
  for line in io.lines(arguments[1]) do
    requests[#requests + 1] = "POST " .. arguments[3] .. " HTTP/1.1\r\nHost: " .. arguments[2] ..
      "\r\nAuthorization: Basic " .. line .. "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " ..
      #body .. "\r\n\r\n" .. body
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
