-- A line for load.py to parse, beside wrk's own output.
function done(summary, latency)
  local e = summary.errors
  print(string.format(
    "bench requests=%d microseconds=%d bytes=%d p50=%d p99=%d connect=%d read=%d write=%d timeout=%d status=%d",
    summary.requests, summary.duration, summary.bytes, latency:percentile(50), latency:percentile(99),
    e.connect, e.read, e.write, e.timeout, e.status))
end
