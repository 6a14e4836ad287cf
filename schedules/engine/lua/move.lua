-- The move: the one place where a slot becomes a job. All or nothing per schedule, everything in one step:
-- compare what was read, copy the job, push it, remember it, set the next score, tell the ledger.
-- ARGV: moves as JSON, time of this batch (unix), the same as RQ writes it
-- A move: {id, score, state, next score or '', generation, next slot or '-', last slot accounted for, runs so far,
--          queue, overlap policy, max runs or 0, forget when over (0/1), slots {{slot, trigger, hold (0/1)}, ...},
--          missed events {json, ...}}
-- State and score must still be as they were read; the state is one text, so that one comparison sees every change.
-- Returns per move the number of jobs made, or why nothing was done: -1 changed meanwhile, -2 no template,
-- -3 the queue is not a list, or what Redis said as a text when a key of this schedule alone is damaged.
local moves = cjson.decode(ARGV[1])
local at, stamp = ARGV[2], ARGV[3]
local results, events, pushes, queue_names = {}, {}, {}, {}
local additions, removals = {}, {}

local ids, names = {}, {}
for i, move in ipairs(moves) do
    ids[i] = move[1]
    names[i] = STATE .. move[1]
end
local scores = redis.call('ZMSCORE', SCHEDULED, unpack(ids))
local states = redis.call('MGET', unpack(names))
local written, over = {}, {}

local pushable = {}
local function is_pushable(queue)
    if pushable[queue] == nil then
        local kind = redis.call('TYPE', QUEUE .. queue).ok
        pushable[queue] = (kind == 'list' or kind == 'none')
    end
    return pushable[queue]
end

local function push(queue, job_id)
    if not pushes[queue] then
        pushes[queue] = {}
        queue_names[#queue_names + 1] = queue
    end
    local list = pushes[queue]
    list[#list + 1] = job_id
end

local encoded = {}
local function json_text(text)
    if not encoded[text] then encoded[text] = cjson.encode(text) end
    return encoded[text]
end

-- Make the job of the first slot; whether there is anything to make it from is known by that, at no extra cost.
local copied, fresh
local function has_template(id, slot)
    local job_id = id .. '_' .. slot
    copied = redis.call('COPY', TEMPLATE .. id, JOB .. job_id) == 1
    if copied then fresh[1] = job_id end
    return copied or redis.call('TYPE', TEMPLATE .. id).ok == 'hash'
end

local WORKING = {queued = true, started = true, scheduled = true, deferred = true, rate_limited = true}
local function status_of(job_id)
    local status = redis.pcall('HGET', JOB .. job_id, 'status')
    if type(status) == 'string' and WORKING[status] then return status end
    return nil
end

local function cancel_waiting(job_id, status, replaced_by)
    local job = JOB .. job_id
    local origin = redis.call('HGET', job, 'origin') or ''
    redis.call('LREM', QUEUE .. origin, 1, job_id)
    redis.call('ZREM', P .. ':scheduled:' .. origin, job_id)
    redis.call('HSET', job, 'status', 'canceled', 'ended_at', stamp)
    redis.call('EXPIRE', job, TOMBSTONE_SECONDS)
    -- It may have been pushed by this very call.
    local list = pushes[origin]
    if list then
        for n = #list, 1, -1 do
            if list[n] == job_id then table.remove(list, n) end
        end
    end
    events[#events + 1] = '{"e":"canceled","j":"' .. job_id .. '","r":"Replaced by the next slot (' .. replaced_by .. ') before it ran (overlap policy terminate_other)."}'
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

local function settle(i, move)
    local id = move[1]
    local runs, queue, policy, max_runs, slots = move[8], move[9], move[10], move[11], move[13]
    if scores[i] ~= move[2] or states[i] ~= move[3] then
        results[i] = -1
    elseif slots[1] and not is_pushable(queue) then
        results[i] = -3
    elseif slots[1] and not has_template(id, slots[1][1]) then
        results[i] = -2
    else
        local made = 0
        local active = {}
        local _, _, _, _, in_progress = parts_of(states[i])
        if in_progress ~= '' then
            for job_id in string.gmatch(in_progress, '%S+') do
                local status = status_of(job_id)
                if status then active[#active + 1] = {job_id, status} end
            end
        end
        local limit_key = 'schedule_' .. id
        local allowed, waiting = P .. ':rl:' .. limit_key .. ':allowed', P .. ':rl:' .. limit_key .. ':rate_limited'
        for n, slot in ipairs(slots) do
            local job_id = id .. '_' .. slot[1]
            local job = JOB .. job_id
            -- A job that is there already was dispatched before: it is neither made nor told twice.
            if n > 1 then copied = redis.call('COPY', TEMPLATE .. id, job) == 1 end
            if n > 1 and copied then fresh[#fresh + 1] = job_id end
            local refusal = nil
            local hold = (policy == 'buffer_one' or policy == 'buffer_all' or policy == 'terminate_other')
            if max_runs > 0 and runs >= max_runs then
                if copied then redis.call('DEL', job) end
                break
            end
            if #active > 0 then
                if policy == 'skip' then
                    if slot[3] == 1 then
                        hold = true
                    else
                        refusal = 'The previous run (job ' .. active[#active][1] .. ') was still ' .. active[#active][2] .. ' (overlap policy skip).'
                    end
                elseif policy == 'buffer_one' then
                    local others = 0
                    for _, other in ipairs(active) do
                        if other[2] == 'rate_limited' then others = others + 1 end
                    end
                    if others > 0 then
                        refusal = 'A run was in progress and one was waiting already (overlap policy buffer_one).'
                    end
                elseif policy == 'terminate_other' then
                    local left = {}
                    for _, other in ipairs(active) do
                        if other[2] == 'started' then
                            left[#left + 1] = other
                            local worker = redis.call('HGET', JOB .. other[1], 'worker_name') or ''
                            redis.call('PUBLISH', P .. ':pubsub:' .. worker, cjson.encode({command = 'stop-job', job_id = other[1]}))
                        else
                            redis.call('ZREM', allowed, other[1])
                            redis.call('ZREM', waiting, other[1])
                            cancel_waiting(other[1], other[2], job_id)
                        end
                    end
                    active = left
                end
            end
            if refusal then
                if copied then redis.call('DEL', job) end
                events[#events + 1] = '{"e":"skipped","i":"' .. id .. '","s":' .. slot[1] .. ',"q":' .. json_text(queue) .. ',"r":' .. cjson.encode(refusal) .. '}'
            elseif copied then
                local status = 'queued'
                if hold then
                    -- RQ's own rate limit keeps the order: one at a time, first in, first out.
                    status = 'rate_limited'
                    redis.call('HSET', job, 'created_at', stamp, 'status', status,
                        'rate_limit_key', limit_key, 'rate_limit_concurrency', 1)
                    redis.call('SADD', P .. ':rl-keys', limit_key)
                    redis.call('HSET', P .. ':rl:' .. limit_key, 'concurrency', 1)
                    redis.call('ZADD', waiting, slot[1], job_id)
                    if admit_next(limit_key, active) == job_id then status = 'queued' end
                else
                    redis.call('HSET', job, 'created_at', stamp, 'enqueued_at', stamp)
                    push(queue, job_id)
                end
                active[#active + 1] = {job_id, status}
                made = made + 1
                runs = runs + 1
                events[#events + 1] = '{"e":"queued","j":"' .. job_id .. '","t":"' .. slot[2] .. '","q":' .. json_text(queue) .. '}'
            end
        end
        for _, event in ipairs(move[14]) do events[#events + 1] = event end
        local next_score, next_slot = move[4], move[6]
        if max_runs > 0 and runs >= max_runs then next_score, next_slot = '', '-' end
        local state = move[5] .. ' ' .. next_slot .. ' ' .. move[7] .. ' ' .. runs
        -- Bounded, should somebody park hundreds of runs under buffer_all.
        for n = math.max(1, #active - 99), #active do state = state .. ' ' .. active[n][1] end
        written[#written + 1] = names[i]
        written[#written + 1] = state
        if next_score ~= '' then
            additions[#additions + 1] = next_score
            additions[#additions + 1] = id
        else
            removals[#removals + 1] = id
            redis.call('DEL', JOB .. id)
            if move[12] == 1 then
                redis.call('DEL', TEMPLATE .. id, PLAN .. id)
                redis.pcall('HDEL', INDEX, id)
                over[#over + 1] = names[i]
            end
        end
        results[i] = made
    end
end

-- What Redis refuses for one schedule (a key of its own is of the wrong type) undoes that schedule's part alone.
for i, move in ipairs(moves) do
    fresh = {}
    local told = #events
    local ok, problem = pcall(settle, i, move)
    if not ok then
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
end
if #queue_names > 0 then mend(QUEUES, 'set') end
for _, queue in ipairs(queue_names) do
    if #pushes[queue] > 0 then
        redis.call('SADD', QUEUES, QUEUE .. queue)
        redis.call('RPUSH', QUEUE .. queue, unpack(pushes[queue]))
    end
end
if #written > 0 then redis.call('MSET', unpack(written)) end
for _, name in ipairs(over) do redis.call('EXPIRE', name, TOMBSTONE_SECONDS) end
if #additions > 0 then redis.call('ZADD', SCHEDULED, unpack(additions)) end
if #removals > 0 then redis.call('ZREM', SCHEDULED, unpack(removals)) end
emit(at, events)
return results
