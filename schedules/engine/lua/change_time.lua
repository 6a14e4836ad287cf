-- Move one member to another time. An entry of ours runs then, off its grid, and goes on with the grid after.
-- ARGV: id, new score, new slot, new generation
-- Returns 0 if it is not scheduled.
if not redis.call('ZSCORE', SCHEDULED, ARGV[1]) then return 0 end
redis.call('ZADD', SCHEDULED, ARGV[2], ARGV[1])
if redis.call('HEXISTS', ENTRY .. ARGV[1], 'plan') == 1 then
    local last_slot, runs = string.match(redis.call('HGET', ENTRY .. ARGV[1], 'state') or '', '^%S+ %S+ (%S+) (%S+)$')
    local state = ARGV[4] .. ' ' .. ARGV[3] .. ' ' .. (last_slot or '-') .. ' ' .. (runs or '0')
    redis.call('HSET', ENTRY .. ARGV[1], 'state', state)
end
wake_if_first({[ARGV[1]] = true})
return 1
