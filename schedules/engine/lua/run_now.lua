-- Start one run beside the plan: no score, slot or count is touched. It counts as a run in progress, though.
-- ARGV: schedule id, job id, time (unix), the same as RQ writes it, who started it as JSON
-- Returns 0 if the schedule is not registered.
local id, job_id, stamp = ARGV[1], ARGV[2], ARGV[4]
local job = JOB .. job_id
if redis.call('TYPE', TEMPLATE .. id).ok ~= 'hash' then return 0 end
local queue = redis.call('HGET', TEMPLATE .. id, 'origin')
local kind = redis.call('TYPE', QUEUE .. queue).ok
if kind ~= 'list' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE queue ' .. queue .. ' is not a list')
end
-- The same call sent again, because its reply was lost, finds the job there.
if redis.call('COPY', TEMPLATE .. id, job) == 0 then return 1 end
mend(QUEUES, 'set')
redis.call('HSET', job, 'created_at', stamp, 'enqueued_at', stamp)
redis.call('SADD', QUEUES, QUEUE .. queue)
redis.call('RPUSH', QUEUE .. queue, job_id)
local generation, slot, last_slot, runs, active = parts_of(text_at(STATE .. id))
if generation then
    active = active == '' and job_id or (active .. ' ' .. job_id)
    redis.call('SET', STATE .. id, table.concat({generation, slot, last_slot, runs, active}, ' '))
end
emit(ARGV[3], {'{"e":"queued","j":"' .. job_id .. '","t":"manual","by":' .. ARGV[5] .. ',"q":' .. cjson.encode(queue) .. '}'})
return 1
