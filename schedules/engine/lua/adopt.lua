-- Give a periodic entry of rq-scheduler's own API an entry of ours, if its score is still as it was read.
-- Its job hash becomes the template; it stays where it is, so that the stock API goes on showing it.
-- ARGV: id, score, plan, slot, new generation, replace a plan that is there (0/1), default timeout
local id = ARGV[1]
if redis.call('ZSCORE', SCHEDULED, id) ~= ARGV[2] then return 0 end
if ARGV[6] == '0' and text_at(PLAN .. id) then return 0 end
mend(INDEX, 'hash')
redis.call('COPY', JOB .. id, TEMPLATE .. id, 'REPLACE')
redis.call('HDEL', TEMPLATE .. id, 'enqueued_at', 'started_at', 'ended_at', 'last_heartbeat', 'worker_name', 'result', 'exc_info')
redis.call('HSET', TEMPLATE .. id, 'status', 'queued')
redis.call('HSETNX', TEMPLATE .. id, 'timeout', ARGV[7])
-- Stock keeps the results of periodic jobs for ever, because the one job must not expire; here every slot has its own.
if redis.call('HGET', TEMPLATE .. id, 'result_ttl') == '-1' then redis.call('HDEL', TEMPLATE .. id, 'result_ttl') end
redis.call('PERSIST', TEMPLATE .. id)
redis.call('PERSIST', JOB .. id)
redis.call('MSET', PLAN .. id, ARGV[3], STATE .. id, ARGV[5] .. ' ' .. ARGV[4] .. ' - 0')
redis.call('HSET', INDEX, id, 'stock:')
return 1
