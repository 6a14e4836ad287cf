-- Read what is known of each id, and whether every part of it is there. Changes nothing.
-- ARGV: manual time or '', ids...
-- Returns: seconds, microseconds, rows {index value, plan, state, score, parts},
-- '' for what is absent; parts: 1 template + 2 display job.
local seconds, microseconds = moment(ARGV[1])
local rows = {}
for i = 2, #ARGV do
    local id = ARGV[i]
    local parts = 0
    if redis.call('TYPE', TEMPLATE .. id).ok == 'hash' then parts = parts + 1 end
    if redis.call('EXISTS', JOB .. id) == 1 then parts = parts + 2 end
    rows[#rows + 1] = {
        redis.call('HGET', INDEX, id) or '', text_at(PLAN .. id) or '', text_at(STATE .. id) or '',
        redis.call('ZSCORE', SCHEDULED, id) or '', parts,
    }
end
return {seconds, microseconds, rows}
