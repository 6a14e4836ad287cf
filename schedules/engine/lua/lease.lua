-- Take or renew the keeper's lease: whoever holds it keeps, until it lapses.
-- ARGV: token, milliseconds
-- Returns 0 if the token holds it now, else for how many milliseconds another does.
local holder = text_at(LEASE)
if holder and holder ~= ARGV[1] then return math.max(1, redis.call('PTTL', LEASE)) end
redis.call('SET', LEASE, ARGV[1], 'PX', ARGV[2])
return 0
