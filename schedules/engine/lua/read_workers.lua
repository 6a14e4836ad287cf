-- Read RQ's workers: what each has last said of itself. Changes nothing.
-- (SORT with GET would do the same in one command; but Redis 7 refuses it to a user who may not read every key.)
-- Returns a row for each: {key, last heartbeat, queues, hostname, state}, '' for what is absent.
local rows = {}
for i, key in ipairs(redis.call('SMEMBERS', P .. ':workers')) do
    local row = redis.pcall('HMGET', key, 'last_heartbeat', 'queues', 'hostname', 'state')
    if row.err then row = {} end
    rows[i] = {key, row[1] or '', row[2] or '', row[3] or '', row[4] or ''}
end
return rows
