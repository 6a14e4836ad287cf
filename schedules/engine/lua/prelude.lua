-- The keys (see ../keys.py), and what several scripts need. Stands before every script.
local P = '@PREFIX@'
local SCHEDULED = P .. ':scheduler:scheduled_jobs'
local PLAN = P .. ':schedules:plan:'
local STATE = P .. ':schedules:state:'
local TEMPLATE = P .. ':schedules:template:'
local INDEX = P .. ':schedules:index'
local EVENTS = P .. ':schedules:events'
local QUARANTINE = P .. ':schedules:quarantine'
local WAKE = P .. ':schedules:wake'
local LEASE = P .. ':schedules:keeper'
local JOB = P .. ':job:'
local QUEUE = P .. ':queue:'
local QUEUES = P .. ':queues'
local TOMBSTONE_SECONDS = 86400

-- The moment, as seconds and microseconds. A manual clock (tests) hands in its own.
local function moment(given)
    if given ~= '' then
        local seconds = math.floor(tonumber(given))
        return seconds, math.floor((tonumber(given) - seconds) * 1000000 + 0.5)
    end
    local time = redis.call('TIME')
    return tonumber(time[1]), tonumber(time[2])
end

local function text_of(seconds, microseconds)
    return string.format('%d.%06d', seconds, microseconds)
end

-- A key that everybody shares and that is not what it should be is kept under another name for an operator:
-- nothing may stop at it, and nothing that is due may be lost by it.
local function mend(key, kind)
    local found = redis.call('TYPE', key).ok
    if found ~= kind and found ~= 'none' then
        redis.call('RENAME', key, key .. ':damaged')
        return true
    end
    return false
end

-- One stream record for all events of a call: it costs one command however many there are.
local function emit(at, events)
    if #events > 0 then
        local text = '[' .. table.concat(events, ',') .. ']'
        local added = redis.pcall('XADD', EVENTS, '*', 'at', at, 'events', text)
        if type(added) == 'table' and added.err and mend(EVENTS, 'stream') then
            redis.call('XADD', EVENTS, '*', 'at', at, 'events', text)
        end
    end
end

-- Tell sleeping dispatchers that somebody is due earlier than they know.
local function wake_if_first(ids)
    local first = redis.call('ZRANGE', SCHEDULED, 0, 0)[1]
    if first and ids[first] then
        redis.call('PUBLISH', WAKE, first)
    end
end

-- Take a state apart: generation, next slot, last slot, runs, active jobs (see ../state.py). nil if it is none.
local function parts_of(state)
    return string.match(state or '', '^(%S+) (%S+) (%S+) (%S+) ?(.*)$')
end

-- Read a key that should be a text; anything else that stands there counts as nothing.
local function text_at(key)
    local value = redis.pcall('GET', key)
    return type(value) == 'string' and value or nil
end

-- What the options of rq-scheduler's own API ask of a job that is about to be queued: to be gone if nobody starts it
-- in time (ttl), to go before the others (at_front), and to wait for other jobs (depends_on). One that waits is put
-- where RQ's workers find it when the last of those ends.
-- Returns whether it waits, and whether it goes to the front.
local function options_of(job_id, queue, at)
    local job, dependencies = JOB .. job_id, JOB .. ':' .. job_id .. ':dependencies' -- two colons, as RQ has it
    local fields = redis.call('HMGET', job, 'ttl', 'enqueue_at_front', 'dependency_ids', 'allow_dependency_failures')
    local ttl = tonumber(fields[1] or '')
    local is_readable, others = pcall(cjson.decode, fields[3] or '')
    local waits = false
    if not is_readable or type(others) ~= 'table' then others = {} end
    for _, other in ipairs(others) do
        -- One that is gone is over, as for RQ.
        local status = redis.pcall('HGET', JOB .. tostring(other), 'status')
        if type(status) == 'string' and status ~= 'finished'
            and not (status == 'failed' and fields[4] == '1') then waits = true end
    end
    if waits then
        redis.call('HSET', job, 'status', 'deferred')
        redis.call('ZADD', P .. ':deferred:' .. queue, at, job_id)
        for _, other in ipairs(others) do
            redis.call('SADD', JOB .. tostring(other) .. ':dependents', job_id)
            redis.call('SADD', dependencies, tostring(other))
        end
    end
    if ttl and ttl > 0 then
        redis.call('EXPIRE', job, ttl)
        redis.call('EXPIRE', dependencies, ttl)
    end
    return waits, fields[2] == '1'
end
