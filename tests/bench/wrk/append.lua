-- 100-byte appends, spread over STREAMS streams (environment; 1 when unset).
local streams = tonumber(os.getenv("STREAMS") or "1")
local headers = { ["Content-Type"] = "application/octet-stream" }
local body = string.rep("x", 100)
local requests, next_stream = {}, 0
local threads = 0

function setup(thread)
  thread:set("offset_of_thread", threads)
  threads = threads + 1
end

function init()
  for i = 0, streams - 1 do
    requests[i] = wrk.format("POST", "/v1/stream/append-" .. i, headers, body)
  end
  next_stream = offset_of_thread * math.floor(streams / 2)
end

function request()
  next_stream = (next_stream + 1) % streams
  return requests[next_stream]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '\nRESULT {"requests":%d,"seconds":%.6f,"failed":%d,"p50_us":%d,"p99_us":%d}\n',
    summary.requests, summary.duration / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
