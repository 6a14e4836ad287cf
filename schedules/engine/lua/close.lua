-- Close a job that nobody will end any more, or put one back that never started: if it is still as it was seen.
-- Everything in one step, as a worker would leave it: status, registries, rate limit, ledger.
-- ARGV: job id, verdict (see look.lua), status seen, reason, time (unix), the same as RQ writes it, worker,
--       seconds that RQ keeps a failed job, how the ledger calls the end
-- Returns what was done: 'closed', 'retried', 'requeued', or '' if it is not as it was seen.
local job_id, verdict, seen, reason, at, stamp = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local job = JOB .. job_id
local fields = redis.pcall('HMGET', job, 'status', 'origin', 'rate_limit_key', 'rate_limit_concurrency', 'retries_left', 'retry_intervals', 'retry_max', 'put_back', 'number_of_retries')
if fields.err then fields = {} end
local status, origin, limit_key = fields[1] or '', fields[2] or '', fields[3]
if status ~= seen then return '' end

local executions = redis.call('ZRANGE', P .. ':executions:' .. job_id, 0, -1)
for _, execution in ipairs(executions) do
    if redis.call('EXISTS', P .. ':execution:' .. job_id .. ':' .. execution) == 1 then return '' end
end

local function forget_hands()
    for _, execution in ipairs(executions) do
        redis.call('ZREM', P .. ':wip:' .. origin, job_id .. ':' .. execution)
    end
    redis.call('DEL', P .. ':executions:' .. job_id)
    if origin ~= '' then redis.call('LREM', QUEUE .. origin .. ':intermediate', 0, job_id) end
end

-- Give the place under a rate limit to the longest waiting, as RQ does when a job ends.
local function release()
    if not limit_key or limit_key == '' then return end
    local allowed, waiting = P .. ':rl:' .. limit_key .. ':allowed', P .. ':rl:' .. limit_key .. ':rate_limited'
    redis.call('ZREM', waiting, job_id)
    redis.call('ZREM', allowed, job_id)
    while redis.call('ZCARD', allowed) < tonumber(fields[4] or '1') do
        local first = redis.call('ZPOPMIN', waiting)[1]
        if not first then return end
        local other = redis.call('HMGET', JOB .. first, 'status', 'origin')
        if other[1] == 'rate_limited' and other[2] then
            redis.call('HSET', JOB .. first, 'status', 'queued', 'enqueued_at', stamp)
            redis.call('ZADD', allowed, at, first)
            redis.call('RPUSH', QUEUE .. other[2], first)
        end
    end
end

local retries_left, retry_max = tonumber(fields[5] or '') or 0, tonumber(fields[7] or '') or 0
local attempt = 1 + (tonumber(fields[9] or '') or 0)
if retry_max > 0 then attempt = 1 + retry_max - retries_left end

local function tell(ending, next_at)
    local event = {e = 'ended', j = job_id, st = ending, r = reason, w = ARGV[7], n = attempt, next = next_at}
    emit(at, {cjson.encode(event)})
end

if verdict == 'gone' then
    if redis.call('HEXISTS', job, 'data') == 1 then return '' end
    forget_hands()
    tell('abandoned')
    return 'closed'
end
if verdict == 'over' then
    tell(ARGV[9])
    return 'closed'
end
if verdict == 'lost' then
    -- It never started, or waited for its next attempt: running it is no repetition. Once, though.
    if status == 'queued' and type(redis.pcall('LPOS', QUEUE .. origin, job_id)) == 'number' then return '' end
    if status == 'scheduled' and redis.call('ZSCORE', P .. ':scheduled:' .. origin, job_id) then return '' end
    local kind = redis.call('TYPE', QUEUE .. origin).ok
    if not fields[8] and (kind == 'list' or kind == 'none') then
        forget_hands()
        redis.call('HSET', job, 'status', 'queued', 'enqueued_at', stamp, 'put_back', at)
        if limit_key and limit_key ~= '' then
            redis.call('ZREM', P .. ':rl:' .. limit_key .. ':rate_limited', job_id)
            redis.call('ZADD', P .. ':rl:' .. limit_key .. ':allowed', at, job_id)
        end
        redis.call('SADD', QUEUES, QUEUE .. origin)
        redis.call('LPUSH', QUEUE .. origin, job_id)
        return 'requeued'
    end
elseif verdict ~= 'dead' then
    return ''
end

forget_hands()
if retries_left > 0 and verdict == 'dead' then
    -- Should its worker only have stood still: what it has to tell of this attempt is not heard any more.
    local given_up = redis.call('HGET', job, 'given_up') or ''
    redis.call('HSET', job, 'given_up', given_up .. ' ' .. table.concat(executions, ' '))
    local wait = 0
    if fields[6] then
        local intervals = cjson.decode(fields[6])
        -- As RQ counts: the last interval stands for all retries that have none.
        if #intervals > 0 then wait = intervals[math.max(1, #intervals - retries_left + 1)] or intervals[#intervals] end
    end
    redis.call('HSET', job, 'retries_left', retries_left - 1)
    if wait > 0 then
        redis.call('HSET', job, 'status', 'scheduled')
        redis.call('ZADD', P .. ':scheduled:' .. origin, string.format('%d', tonumber(at) + wait), job_id)
        redis.call('SADD', QUEUES, QUEUE .. origin)
        release()
        redis.call('PUBLISH', WAKE, job_id)
    else
        redis.call('HSET', job, 'status', 'queued', 'enqueued_at', stamp)
        redis.call('SADD', QUEUES, QUEUE .. origin)
        redis.call('RPUSH', QUEUE .. origin, job_id)
    end
    tell('retry', tonumber(at) + wait)
    return 'retried'
end
redis.call('HSET', job, 'status', 'failed', 'ended_at', stamp)
redis.call('ZADD', P .. ':failed:' .. origin, string.format('%d', tonumber(at) + tonumber(ARGV[8])), job_id)
redis.call('EXPIRE', job, ARGV[8])
release()
tell('abandoned')
return 'closed'
