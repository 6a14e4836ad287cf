-- Give the keeper's lease back, if it is still ours.
-- ARGV: token
if text_at(LEASE) ~= ARGV[1] then return 0 end
return redis.call('DEL', LEASE)
