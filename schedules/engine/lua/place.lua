-- Put a job of rq-scheduler's own API on the schedule, in one step with its plan if it is periodic. Sent again,
-- because its reply was lost, it does nothing: the job may have been dispatched meanwhile.
-- ARGV: id, score, random name of this call, plan or '', state or '', then the fields of the job: name, value ...
local id, call = ARGV[1], ARGV[3]
local job = JOB .. id
if redis.pcall('HGET', job, 'placed_by') == call then return 0 end
mend(SCHEDULED, 'zset')
mend(INDEX, 'hash')
mend(QUARANTINE, 'hash')
redis.call('DEL', job)
redis.call('HSET', job, 'placed_by', call, unpack(ARGV, 6))
redis.call('HDEL', QUARANTINE, id)
if ARGV[4] ~= '' then
    redis.call('COPY', job, TEMPLATE .. id, 'REPLACE')
    redis.call('HDEL', TEMPLATE .. id, 'placed_by', 'enqueued_at', 'started_at', 'ended_at', 'last_heartbeat', 'worker_name')
    redis.call('HSET', TEMPLATE .. id, 'status', 'queued')
    redis.call('MSET', PLAN .. id, ARGV[4], STATE .. id, ARGV[5])
    redis.call('HSET', INDEX, id, 'stock:')
else
    redis.call('DEL', PLAN .. id, TEMPLATE .. id, STATE .. id)
    redis.call('HDEL', INDEX, id)
end
redis.call('ZADD', SCHEDULED, ARGV[2], id)
wake_if_first({[id] = true})
return 1
