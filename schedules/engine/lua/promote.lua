-- Queue the retries that are due. RQ keeps jobs that wait for a delayed retry (and those of queue.enqueue_at)
-- in a registry per queue, and moves them only in workers started with a scheduler of their own; a queue that
-- such a worker has locked is left to it.
-- ARGV: limit, manual time or '', the time as RQ writes it
-- Returns: how many were moved, and the score of the first that is not due ('' for none).
local limit = tonumber(ARGV[1])
local seconds, microseconds = moment(ARGV[2])
local now = text_of(seconds, microseconds)
local moved, next_score = 0, nil
for _, queue_key in ipairs(redis.call('SMEMBERS', QUEUES)) do
    local name = string.sub(queue_key, #QUEUE + 1)
    local registry = P .. ':scheduled:' .. name
    if redis.call('TYPE', registry).ok == 'zset' and redis.call('EXISTS', P .. ':scheduler-lock:' .. name) == 0 then
        local due = redis.call('ZRANGEBYSCORE', registry, '-inf', now, 'LIMIT', 0, limit)
        for _, job_id in ipairs(due) do
            local job = JOB .. job_id
            local fields = redis.pcall('HMGET', job, 'status', 'rate_limit_key', 'enqueue_at_front', 'enqueue_at_front_on_retry', 'data')
            redis.call('ZREM', registry, job_id)
            if not fields.err and fields[5] then
                moved = moved + 1
                if fields[2] and fields[2] ~= '' then
                    redis.call('HSET', job, 'status', 'rate_limited')
                    -- It waited already: it goes before the slots that came after it.
                    redis.call('ZADD', P .. ':rl:' .. fields[2] .. ':rate_limited', 0, job_id)
                    if redis.call('ZCARD', P .. ':rl:' .. fields[2] .. ':allowed') == 0 then
                        local first = redis.call('ZPOPMIN', P .. ':rl:' .. fields[2] .. ':rate_limited')[1]
                        local origin = redis.call('HGET', JOB .. first, 'origin') or name
                        redis.call('ZADD', P .. ':rl:' .. fields[2] .. ':allowed', now, first)
                        redis.call('HSET', JOB .. first, 'status', 'queued', 'enqueued_at', ARGV[3])
                        redis.call('RPUSH', QUEUE .. origin, first)
                    end
                else
                    redis.call('HSET', job, 'status', 'queued', 'enqueued_at', ARGV[3])
                    local front = fields[3] == '1' or fields[4] == '1'
                    redis.call(front and 'LPUSH' or 'RPUSH', queue_key, job_id)
                end
            end
        end
        local first = redis.call('ZRANGE', registry, 0, 0, 'WITHSCORES')[2]
        if first and (not next_score or tonumber(first) < tonumber(next_score)) then next_score = first end
    end
end
return {moved, next_score or ''}
