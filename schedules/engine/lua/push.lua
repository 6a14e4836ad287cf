-- Put a new job at the end of its queue, and tell the ledger. Sent again, because its reply was lost, it does nothing.
-- ARGV: id, queue, random name of this call, time (unix), event as JSON, then the fields of the job: name, value ...
-- Returns 0 if the queue is not a list.
local id, queue, call = ARGV[1], ARGV[2], ARGV[3]
local kind = redis.call('TYPE', QUEUE .. queue).ok
if kind ~= 'list' and kind ~= 'none' then return 0 end
if redis.pcall('HGET', JOB .. id, 'placed_by') == call then return 1 end
mend(QUEUES, 'set')
redis.call('HSET', JOB .. id, 'placed_by', call, unpack(ARGV, 6))
redis.call('SADD', QUEUES, QUEUE .. queue)
redis.call('RPUSH', QUEUE .. queue, id)
emit(ARGV[4], {ARGV[5]})
return 1
