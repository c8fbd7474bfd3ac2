-- POSTs the forms of a file, in turn: `wrk … -- FILE HOST PATH`.  FILE holds "BASIC BODY" lines.
local threads = {}

function setup(thread) table.insert(threads, thread) end

function init(arguments)
  requests, sent, asked = {}, 0, 0
  for line in io.lines(arguments[1]) do
    local basic, body = line:match("^(%S+) (%S+)$")
    requests[#requests + 1] = "POST " .. arguments[3] .. " HTTP/1.1\r\nHost: " .. arguments[2] ..
      "\r\nAuthorization: Basic " .. basic .. "\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " ..
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
