-- SPDX-License-Identifier: MIT
-- One script for every case: wrk ... -s wrk.lua URL -- [post BYTES | pipeline N | close]
-- The request is made once; but for pipelining wrk then repeats it without calling Lua.
-- At the end it prints one line that begins with RESULT, times in microseconds.

function init(args)
    local mode, number = args[1], tonumber(args[2])

    if mode == "post" then
        wrk.method = "POST"
        wrk.body = string.rep("x", number)
        wrk.headers["Content-Type"] = "application/octet-stream"
    elseif mode == "close" then
        wrk.headers["Connection"] = "close"
    elseif mode == "pipeline" then
        local batch = string.rep(wrk.format(), number)

        request = function() return batch end
    end
end

function done(summary, latency, requests)
    local errors = summary.errors

    print(string.format(
        "RESULT requests=%d duration=%d p50=%d p99=%d connect=%d read=%d write=%d status=%d timeout=%d",
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
        errors.connect, errors.read, errors.write, errors.status, errors.timeout))
end
