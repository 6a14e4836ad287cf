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
