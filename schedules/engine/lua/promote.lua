-- Queue the retries that are due. RQ keeps jobs that wait for a delayed retry (and those of queue.enqueue_at)
-- in a registry per queue, and moves them only in workers started with a scheduler of their own; a queue that
-- such a worker has locked is left to it.
-- ARGV: limit, manual time or '', the time as RQ writes it
-- Returns: how many were moved, and the score of the first that is not due ('' for none).
local limit = tonumber(ARGV[1])
local seconds, microseconds = moment(ARGV[2])
local now = text_of(seconds, microseconds)
local moved, next_score = 0, nil

local function is_list(queue)
    local kind = redis.call('TYPE', QUEUE .. queue).ok
    return kind == 'list' or kind == 'none'
end

-- Put a job that waited for its retry back under its rate limit, before the slots that came after it, and let
-- those through that have room: as RQ does when a job under the limit ends.
local function readmit(limit_key, job_id)
    local allowed, waiting = P .. ':rl:' .. limit_key .. ':allowed', P .. ':rl:' .. limit_key .. ':rate_limited'
    local concurrency = tonumber(redis.call('HGET', P .. ':rl:' .. limit_key, 'concurrency') or '') or 1
    redis.call('HSET', JOB .. job_id, 'status', 'rate_limited')
    -- It may hold the limit itself: a slot that came while it waited found nobody else in progress.
    redis.call('ZREM', allowed, job_id)
    redis.call('ZADD', waiting, 0, job_id)
    while redis.call('ZCARD', allowed) < concurrency do
        local first = redis.call('ZPOPMIN', waiting)[1]
        if not first then return end
        local fields = redis.call('HMGET', JOB .. first, 'status', 'origin')
        if fields[1] == 'rate_limited' and fields[2] then
            if not is_list(fields[2]) then
                redis.call('ZADD', waiting, 0, first)
                return
            end
            redis.call('ZADD', allowed, now, first)
            redis.call('HSET', JOB .. first, 'status', 'queued', 'enqueued_at', ARGV[3])
            redis.call('RPUSH', QUEUE .. fields[2], first)
        end
    end
end

local function promote(name, job_id)
    local job = JOB .. job_id
    local fields = redis.call('HMGET', job, 'rate_limit_key', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'data')
    if not fields[4] then return end
    if fields[1] and fields[1] ~= '' then
        readmit(fields[1], job_id)
    else
        redis.call('HSET', job, 'status', 'queued', 'enqueued_at', ARGV[3])
        redis.call((fields[2] == '1' or fields[3] == '1') and 'LPUSH' or 'RPUSH', QUEUE .. name, job_id)
    end
    moved = moved + 1
end

mend(QUEUES, 'set')
for _, queue_key in ipairs(redis.call('SMEMBERS', QUEUES)) do
    local name = string.sub(queue_key, #QUEUE + 1)
    local registry = P .. ':scheduled:' .. name
    if redis.call('TYPE', registry).ok == 'zset' and redis.call('EXISTS', P .. ':scheduler-lock:' .. name) == 0
        and is_list(name) then
        for _, job_id in ipairs(redis.call('ZRANGEBYSCORE', registry, '-inf', now, 'LIMIT', 0, limit)) do
            -- A job that cannot be read waits for nothing any more; the others are not to wait for it.
            redis.call('ZREM', registry, job_id)
            local ok, problem = pcall(promote, name, job_id)
            if not ok then
                local text = type(problem) == 'table' and problem.err or tostring(problem)
                if not string.find(text, 'WRONGTYPE', 1, true) then error(problem) end
            end
        end
        local first = redis.call('ZRANGE', registry, 0, 0, 'WITHSCORES')[2]
        if first and (not next_score or tonumber(first) < tonumber(next_score)) then next_score = first end
    end
end
return {moved, next_score or ''}
