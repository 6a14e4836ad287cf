-- Move one member to another time. An entry of ours runs then, off its grid, and goes on with the grid after.
-- ARGV: id, new score, new slot, new generation
-- Returns 0 if it is not scheduled.
if not redis.call('ZSCORE', SCHEDULED, ARGV[1]) then return 0 end
redis.call('ZADD', SCHEDULED, ARGV[2], ARGV[1])
local generation, _, last_slot, runs, active = parts_of(text_at(STATE .. ARGV[1]))
if generation and redis.call('EXISTS', PLAN .. ARGV[1]) == 1 then
    redis.call('SET', STATE .. ARGV[1], table.concat({ARGV[4], ARGV[3], last_slot, runs, active}, ' '))
end
wake_if_first({[ARGV[1]] = true})
return 1
