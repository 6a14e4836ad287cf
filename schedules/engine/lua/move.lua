-- The move: the one place where a slot becomes a job. All or nothing per schedule, everything in one step:
-- compare what was read, copy the job, push it, remember it, set the next score, tell the ledger.
-- ARGV: kinds as JSON, moves as JSON, time of the decision (unix), the same as RQ writes it, manual time or ''
-- A kind, shared by many: {queue, overlap policy, max runs or 0, forget when over (0/1)}
-- A move: {id, score, state, kind (from 1), slot, next score or '', generation, next slot or '-', last slot settled,
--          runs so far, active jobs}, and for what is late or several, behind them:
--          slots {{slot, trigger, hold (0/1)}, ...}, missed events {json, ...}
-- State and score must still be as they were read; the state is one text, so that one comparison sees every change.
-- Returns per move the number of jobs made, or why nothing was done: -1 changed meanwhile, -2 no template,
-- -3 the queue is not a list, or what Redis said as a text when a key of this schedule alone is damaged.
local kinds, moves = cjson.decode(ARGV[1]), cjson.decode(ARGV[2])
local stamp = ARGV[4]
local results, events, pushes, queue_names = {}, {}, {}, {}

-- What was decided long ago (the process was stopped and continued) is decided again: by now it may be a misfire.
local STALE_SECONDS = 10
local seconds, microseconds = moment(ARGV[5])
if seconds - tonumber(ARGV[3]) > STALE_SECONDS then
    for i = 1, #moves do results[i] = -1 end
    return results
end
-- The ledger is told when it happened, not when it was decided: that may be a while before, for a slot still to come.
-- Never before the slot, though, for which the dispatcher waits by another clock.
local at = text_of(seconds, microseconds)
if tonumber(at) < tonumber(ARGV[3]) then at = ARGV[3] end
local additions, removals, written, over = {}, {}, {}, {}

local ids, names = {}, {}
for i = 1, #moves do
    ids[i] = moves[i][1]
    names[i] = STATE .. ids[i]
end
local scores = redis.call('ZMSCORE', SCHEDULED, unpack(ids))
local states = redis.call('MGET', unpack(names))
local pushable = {}
local function is_pushable(queue)
    if pushable[queue] == nil then
        local kind = redis.call('TYPE', QUEUE .. queue).ok
        pushable[queue] = (kind == 'list' or kind == 'none')
    end
    return pushable[queue]
end

for _, kind in ipairs(kinds) do
    kind.buffers = (kind[2] == 'buffer_one' or kind[2] == 'buffer_all' or kind[2] == 'terminate_other')
    kind.queued = '","t":"%s","q":' .. cjson.encode(kind[1]) .. '}'
    -- What of this kind can be moved in the ordinary way, and the jobs that were.
    kind.is_plain = not kind.buffers and kind[3] == 0 and kind[4] == 0 and is_pushable(kind[1])
    kind.allows_all = kind[2] == 'allow_all'
    kind.jobs = {}
end

local function push(queue, job_id)
    local list = pushes[queue]
    if not list then
        list = {}
        pushes[queue] = list
        queue_names[#queue_names + 1] = queue
    end
    list[#list + 1] = job_id
end

-- Queue a job that was made just now; return its status. What is forgotten when over may be of rq-scheduler's own API,
-- which has options of its own.
local function put(kind, job_id)
    redis.call('HSET', JOB .. job_id, 'created_at', stamp, 'enqueued_at', stamp)
    if kind[4] == 1 then
        local waits, is_first = options_of(job_id, kind[1], at)
        if waits or is_first then
            redis.call('SADD', QUEUES, QUEUE .. kind[1])
            if is_first and not waits then redis.call('LPUSH', QUEUE .. kind[1], job_id) end
            return waits and 'deferred' or 'queued'
        end
    end
    push(kind[1], job_id)
    return 'queued'
end

local WORKING = {queued = true, started = true, scheduled = true, deferred = true, rate_limited = true}
local function status_of(job_id)
    local status = redis.pcall('HGET', JOB .. job_id, 'status')
    if type(status) == 'string' and WORKING[status] then return status end
    return nil
end

-- The jobs of a schedule that are still queued or running, of those that its state names.
local function still_active(listed)
    local active = {}
    for job_id in string.gmatch(listed, '%S+') do
        local status = status_of(job_id)
        if status then active[#active + 1] = {job_id, status} end
    end
    return active
end

local function cancel_waiting(job_id, replaced_by)
    local job = JOB .. job_id
    local origin = redis.call('HGET', job, 'origin') or ''
    redis.call('LREM', QUEUE .. origin, 1, job_id)
    redis.call('ZREM', P .. ':scheduled:' .. origin, job_id)
    redis.call('HSET', job, 'status', 'canceled', 'ended_at', stamp)
    redis.call('EXPIRE', job, TOMBSTONE_SECONDS)
    -- It may have been pushed by this very call.
    local list = pushes[origin] or {}
    for n = #list, 1, -1 do
        if list[n] == job_id then table.remove(list, n) end
    end
    local reason = 'Replaced by the next slot (' .. replaced_by .. ') before it ran (overlap policy terminate_other).'
    events[#events + 1] = '{"e":"canceled","j":"' .. job_id .. '","r":"' .. reason .. '"}'
end

-- Stop what runs and drop what waits; return what still holds its place until it has stopped.
local function terminate(active, limit_key, replaced_by)
    local stopping = {}
    for _, other in ipairs(active) do
        if other[2] == 'started' then
            stopping[#stopping + 1] = other
            local worker = redis.call('HGET', JOB .. other[1], 'worker_name') or ''
            redis.call('HSET', JOB .. other[1], 'stopped_for', replaced_by)
            redis.call('PUBLISH', P .. ':pubsub:' .. worker, cjson.encode({command = 'stop-job', job_id = other[1]}))
        else
            redis.call('ZREM', P .. ':rl:' .. limit_key .. ':allowed', other[1])
            redis.call('ZREM', P .. ':rl:' .. limit_key .. ':rate_limited', other[1])
            cancel_waiting(other[1], replaced_by)
        end
    end
    return stopping
end

-- Let the longest waiting job of a rate limit through if no other holds it. Returns its id, or nil.
local function admit_next(limit_key, active)
    local allowed, waiting = P .. ':rl:' .. limit_key .. ':allowed', P .. ':rl:' .. limit_key .. ':rate_limited'
    for _, member in ipairs(redis.call('ZRANGE', allowed, 0, -1)) do
        if not status_of(member) then redis.call('ZREM', allowed, member) end
    end
    -- A run that was dispatched without the limit (the policy changed, a catch-up) holds it now; the worker
    -- reads the key again when the run ends.
    for _, other in ipairs(active) do
        if other[2] ~= 'rate_limited' and redis.call('ZCARD', allowed) == 0 then
            redis.call('HSET', JOB .. other[1], 'rate_limit_key', limit_key, 'rate_limit_concurrency', 1)
            redis.call('ZADD', allowed, at, other[1])
        end
    end
    while redis.call('ZCARD', allowed) == 0 do
        local first = redis.call('ZPOPMIN', waiting)[1]
        if not first then return nil end
        local fields = redis.call('HMGET', JOB .. first, 'status', 'origin')
        if fields[1] == 'rate_limited' and fields[2] and not is_pushable(fields[2]) then
            redis.call('ZADD', waiting, 0, first)
            return nil
        elseif fields[1] == 'rate_limited' and fields[2] then
            redis.call('HSET', JOB .. first, 'status', 'queued', 'enqueued_at', stamp)
            redis.call('ZADD', allowed, at, first)
            push(fields[2], first)
            return first
        end
    end
    return nil
end

-- Put a job behind those before it: RQ's own rate limit lets one at a time through, first in, first out.
local function hold_back(job_id, slot, limit_key, active)
    redis.call('HSET', JOB .. job_id, 'created_at', stamp, 'status', 'rate_limited',
        'rate_limit_key', limit_key, 'rate_limit_concurrency', 1)
    redis.call('SADD', P .. ':rl-keys', limit_key)
    redis.call('HSET', P .. ':rl:' .. limit_key, 'concurrency', 1)
    redis.call('ZADD', P .. ':rl:' .. limit_key .. ':rate_limited', slot, job_id)
    if admit_next(limit_key, active) == job_id then return 'queued' end
    return 'rate_limited'
end

-- Why a slot must not run beside those in progress, or nil.
local function refusal_of(policy, active, hold)
    if policy == 'skip' and not hold then
        local last = active[#active]
        return 'The previous run (job ' .. last[1] .. ') was still ' .. last[2] .. ' (overlap policy skip).'
    elseif policy == 'buffer_one' then
        for _, other in ipairs(active) do
            if other[2] == 'rate_limited' then
                return 'A run was in progress and one was waiting already (overlap policy buffer_one).'
            end
        end
    end
    return nil
end

-- Note how far a schedule has come.
local function note(i, move, next_slot, runs, listed)
    written[#written + 1] = names[i]
    written[#written + 1] = move[7] .. ' ' .. next_slot .. ' ' .. move[9] .. ' ' .. runs .. listed
end

-- Put it where it is due next ('': never again).
local function place(i, kind, next_score)
    local id = ids[i]
    if next_score ~= '' then
        additions[#additions + 1] = next_score
        additions[#additions + 1] = id
        return
    end
    removals[#removals + 1] = id
    redis.call('DEL', JOB .. id)
    if kind[4] == 1 then
        redis.call('DEL', TEMPLATE .. id, PLAN .. id)
        redis.pcall('HDEL', INDEX, id)
        over[#over + 1] = names[i]
    end
end

-- The jobs made for the move under way, should it have to be undone.
local fresh = {}

-- Dispatch the slots of one move whose first job is made already (copied), or was made by an earlier call (not).
-- Returns how many jobs were made, and the jobs in progress as the state names them.
local function dispatch(move, kind, slots, copied)
    local id, runs, made = move[1], move[10], 0
    local active = still_active(move[11])
    local limit_key = 'schedule_' .. id
    for n, slot in ipairs(slots) do
        local job_id = id .. '_' .. slot[1]
        local job = JOB .. job_id
        if kind[3] > 0 and runs + made >= kind[3] then
            if n == 1 and copied then redis.call('DEL', job) end
            break
        end
        -- A job that is there already was dispatched before: it is neither made nor told twice.
        if n > 1 then
            copied = redis.call('COPY', TEMPLATE .. id, job) == 1
            if copied then fresh[#fresh + 1] = job_id end
        end
        local hold = kind.buffers or (slot[3] == 1 and #active > 0)
        if #active > 0 and kind[2] == 'terminate_other' then active = terminate(active, limit_key, job_id) end
        local refusal = #active > 0 and refusal_of(kind[2], active, hold) or nil
        if refusal then
            if copied then redis.call('DEL', job) end
            events[#events + 1] = '{"e":"skipped","i":"' .. id .. '","s":' .. slot[1] .. ',"q":' .. cjson.encode(kind[1])
                .. ',"r":' .. cjson.encode(refusal) .. '}'
        elseif copied then
            local status = 'queued'
            if hold then
                status = hold_back(job_id, slot[1], limit_key, active)
            else
                status = put(kind, job_id)
            end
            if not kind.allows_all then active[#active + 1] = {job_id, status} end
            made = made + 1
            events[#events + 1] = '{"e":"queued","j":"' .. job_id .. string.format(kind.queued, slot[2])
        end
    end
    -- Bounded, should somebody park hundreds of runs under buffer_all.
    local listed = ''
    for n = math.max(1, #active - 99), #active do listed = listed .. ' ' .. active[n][1] end
    return made, listed
end

-- Settle a move of any shape.
local function settle(i, move)
    local id, kind, slots = move[1], kinds[move[4]], move[12] or {{move[5], 'schedule', 0}}
    local first = slots[1] and slots[1][1]
    if first and not is_pushable(kind[1]) then
        results[i] = -3
        return
    end
    -- Making the first job shows at no extra cost whether there is anything to make it from.
    local copied = first and redis.call('COPY', TEMPLATE .. id, JOB .. id .. '_' .. first) == 1
    if copied then fresh[1] = id .. '_' .. first end
    if first and not copied and redis.call('TYPE', TEMPLATE .. id).ok ~= 'hash' then
        results[i] = -2
        return
    end
    local made, listed = dispatch(move, kind, slots, copied)
    for _, event in ipairs(move[13] or {}) do events[#events + 1] = event end
    local next_score, next_slot, runs = move[6], move[8], move[10] + made
    if kind[3] > 0 and runs >= kind[3] then next_score, next_slot = '', '-' end
    note(i, move, next_slot, runs, listed)
    place(i, kind, next_score)
    results[i] = made
end

-- What Redis refuses for one schedule (a key of its own is of the wrong type) undoes that schedule's part alone.
local function settle_carefully(i, move)
    fresh = {}
    local told = #events
    local ok, problem = pcall(settle, i, move)
    if ok then return end
    results[i] = type(problem) == 'table' and problem.err or tostring(problem)
    -- Out of memory, read only, a fault of ours: no schedule is to blame.
    if not string.find(results[i], 'WRONGTYPE', 1, true) then error(problem) end
    for n = #events, told + 1, -1 do events[n] = nil end
    for _, job_id in ipairs(fresh) do
        redis.call('DEL', JOB .. job_id)
        for _, list in pairs(pushes) do
            for n = #list, 1, -1 do
                if list[n] == job_id then table.remove(list, n) end
            end
        end
    end
end

for i, move in ipairs(moves) do
    local id, kind = move[1], kinds[move[4]]
    if scores[i] ~= move[2] or states[i] ~= move[3] then
        results[i] = -1
    elseif kind.is_plain and not move[12] and move[11] == '' then
        -- The ordinary case, in as few steps as it takes: one slot, on time, nothing in progress.
        local job_id = id .. '_' .. move[5]
        local job = JOB .. job_id
        local copied = redis.call('COPY', TEMPLATE .. id, job) == 1
        if copied and type(redis.pcall('HSET', job, 'created_at', stamp, 'enqueued_at', stamp)) == 'number' then
            push(kind[1], job_id)
            kind.jobs[#kind.jobs + 1] = job_id
            note(i, move, move[8], move[10] + 1, kind.allows_all and '' or (' ' .. job_id))
            place(i, kind, move[6])
            results[i] = 1
        else
            if copied then redis.call('DEL', job) end
            settle_carefully(i, move)
        end
    else
        settle_carefully(i, move)
    end
end
for _, kind in ipairs(kinds) do
    if #kind.jobs > 0 then
        events[#events + 1] = '{"e":"queued","js":["' .. table.concat(kind.jobs, '","')
            .. '"],"t":"schedule","q":' .. cjson.encode(kind[1]) .. '}'
    end
end
if #queue_names > 0 then mend(QUEUES, 'set') end
for _, queue in ipairs(queue_names) do
    if #pushes[queue] > 0 then
        redis.call('SADD', QUEUES, QUEUE .. queue)
        -- In parts: what Lua can hand over in one call is bounded.
        for first = 1, #pushes[queue], 5000 do
            redis.call('RPUSH', QUEUE .. queue, unpack(pushes[queue], first, math.min(first + 4999, #pushes[queue])))
        end
    end
end
if #written > 0 then redis.call('MSET', unpack(written)) end
for _, name in ipairs(over) do redis.call('EXPIRE', name, TOMBSTONE_SECONDS) end
if #additions > 0 then redis.call('ZADD', SCHEDULED, unpack(additions)) end
if #removals > 0 then redis.call('ZREM', SCHEDULED, unpack(removals)) end
emit(at, events)
return results
