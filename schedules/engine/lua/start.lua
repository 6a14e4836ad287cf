-- Start one job at once, beside every plan: no score, slot or count is touched. It counts as a run in progress.
-- ARGV: schedule id, job id, time (unix), the same as RQ writes it, ledger event as JSON, queue,
--       fields {name, value, ...} as JSON, payload, id of a job whose payload it takes instead ('' for none)
-- Returns 1, or 0 if there is no payload.
local id, job_id, at, stamp, queue = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[6]
local job = JOB .. job_id
local kind = redis.call('TYPE', QUEUE .. queue).ok
if kind ~= 'list' and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE queue ' .. queue .. ' is not a list')
end
-- The same call sent again, because its reply was lost, finds the job there.
if redis.call('EXISTS', job) == 1 then return 1 end
mend(QUEUES, 'set')
local data = ARGV[8]
if ARGV[9] ~= '' then
    local held = redis.pcall('HGET', JOB .. ARGV[9], 'data')
    if type(held) == 'string' then data = held end
end
if data == '' then return 0 end
redis.call('HSET', job, 'data', data, 'created_at', stamp, 'enqueued_at', stamp, unpack(cjson.decode(ARGV[7])))
redis.call('SADD', QUEUES, QUEUE .. queue)
redis.call('RPUSH', QUEUE .. queue, job_id)
local generation, slot, last_slot, runs, active = parts_of(text_at(STATE .. id))
if generation then
    active = active == '' and job_id or (active .. ' ' .. job_id)
    redis.call('SET', STATE .. id, table.concat({generation, slot, last_slot, runs, active}, ' '))
end
emit(at, {ARGV[5]})
return 1
