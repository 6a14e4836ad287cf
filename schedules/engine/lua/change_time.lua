-- Move one member to another time. An entry of ours runs then, off its grid, and goes on with the grid after.
-- ARGV: id, new score, new slot, new generation
-- Returns 0 if it is not scheduled.
if not redis.call('ZSCORE', SCHEDULED, ARGV[1]) then return 0 end
redis.call('ZADD', SCHEDULED, ARGV[2], ARGV[1])
if redis.call('HEXISTS', ENTRY .. ARGV[1], 'plan') == 1 then
    redis.call('HSET', ENTRY .. ARGV[1], 'slot', ARGV[3], 'generation', ARGV[4])
end
wake_if_first({[ARGV[1]] = true})
return 1
