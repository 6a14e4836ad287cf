-- Dispatch one-off entries made with rq-scheduler's own API: here the entry's job is the job that runs.
-- ARGV: moves as JSON {{id, score, queue, timeout}, ...}, time of this batch (unix), the same as RQ writes it
-- Returns per move: 1 done, -1 changed meanwhile, -2 the job hash is gone, -3 the queue is not a list.
local moves = cjson.decode(ARGV[1])
local at, stamp = ARGV[2], ARGV[3]
local results, events = {}, {}
mend(QUEUES, 'set')
for i, move in ipairs(moves) do
    local id, score, queue = move[1], move[2], move[3]
    local kind = redis.call('TYPE', QUEUE .. queue).ok
    if redis.call('ZSCORE', SCHEDULED, id) ~= score then
        results[i] = -1
    elseif redis.call('HEXISTS', JOB .. id, 'data') == 0 then
        results[i] = -2
    elseif kind ~= 'list' and kind ~= 'none' then
        results[i] = -3
    else
        -- Without one, a worker would leave it "started" for ever.
        redis.call('HSETNX', JOB .. id, 'timeout', move[4])
        redis.call('HSET', JOB .. id, 'status', 'queued', 'enqueued_at', stamp, 'origin', queue)
        redis.call('SADD', QUEUES, QUEUE .. queue)
        local waits, is_first = options_of(id, queue, at)
        if not waits then redis.call(is_first and 'LPUSH' or 'RPUSH', QUEUE .. queue, id) end
        redis.call('ZREM', SCHEDULED, id)
        events[#events + 1] = '{"e":"queued","j":"' .. id .. '","s":' .. string.format('%d', tonumber(score)) .. ',"t":"schedule","q":' .. cjson.encode(queue) .. '}'
        results[i] = 1
    end
end
emit(at, events)
return results
