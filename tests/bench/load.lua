-- What wrk asks for, as the words after its `--` say, and its figures as one line of JSON.
--   PAUSE read FIRST COUNT AT: /patients/{id}, one id of COUNT after the other, beginning with AT
--   PAUSE book DOCTOR DOCTORS PATIENT PATIENTS BEGIN AT: another appointment each time, none twice
-- PAUSE is how long, in ms and on average, a connection rests before it asks again; 0: not at all.

local HALF_HOUR = 1800
local numbers = {}
local at

local function read()
  local first, count = numbers[1], numbers[2]
  at = at + 1
  return wrk.format("GET", string.format("/patients/%d", first + at % count))
end

-- At one time each doctor has another patient, and each patient comes back after a while.
local function book()
  local doctor, doctors, patient, patients, begin = unpack(numbers)
  at = at + 1
  local whose, slot = at % doctors, math.floor(at / doctors)
  local groups = math.floor(patients / doctors)
  local body = string.format(
    '{"patientId": %d, "doctorId": %d, "date": "%s", "description": "Check-up"}',
    patient + whose + doctors * (slot % groups), doctor + whose,
    os.date("!%Y-%m-%dT%H:%M:%SZ", begin + slot * HALF_HOUR))
  return wrk.format("POST", "/appointments", nil, body)
end

function init(words)
  local pause = tonumber(words[1])
  for each = 3, #words do numbers[#numbers + 1] = tonumber(words[each]) end
  at = table.remove(numbers)
  wrk.headers["Content-Type"] = "application/json"
  request = words[2] == "book" and book or read
  if pause > 0 then
    math.randomseed(at)
    delay = function() return math.random(0, 2 * pause) end
  end
end

function done(summary, latency)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "seconds": %.3f, "failed": %d, "median": %.4f, "p99": %.4f}\n',
    summary.requests, summary.duration / 1e6, e.status + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1000, latency:percentile(99) / 1000))
end
