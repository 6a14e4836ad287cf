-- Take a member that cannot be read off the set and keep it aside with its reason, if it is still as it was read.
-- ARGV: id, score, what is known as JSON, ledger event as JSON or '', time (unix)
if redis.call('ZSCORE', SCHEDULED, ARGV[1]) ~= ARGV[2] then return 0 end
mend(QUARANTINE, 'hash')
redis.call('ZREM', SCHEDULED, ARGV[1])
redis.call('HSET', QUARANTINE, ARGV[1], ARGV[3])
if ARGV[4] ~= '' then emit(ARGV[5], {ARGV[4]}) end
return 1
