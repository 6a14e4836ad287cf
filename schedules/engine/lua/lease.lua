-- Take or renew the keeper's lease: whoever holds it keeps, until it lapses.
-- ARGV: token, milliseconds
-- Returns 1 if the token holds it now.
local holder = text_at(LEASE)
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', LEASE, ARGV[1], 'PX', ARGV[2])
return 1
