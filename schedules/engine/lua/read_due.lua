-- Read a batch of due members with all that is needed to decide about them. Changes nothing that is sound.
-- ARGV: limit, manual time or '', how many due members to pass over
-- Returns: seconds, microseconds, score of the next member that is not due ('' for none), members and scores in turn,
-- then plan and state of each in turn ('' where there is none: the member is not ours).
local limit = tonumber(ARGV[1])
local seconds, microseconds = moment(ARGV[2])
local now = text_of(seconds, microseconds)
local due = redis.pcall('ZRANGEBYSCORE', SCHEDULED, '-inf', now, 'WITHSCORES', 'LIMIT', ARGV[3], limit)
if due.err then
    if not mend(SCHEDULED, 'zset') then return due end
    due = {}
end
local next_score = ''
if #due < limit * 2 then
    next_score = redis.call('ZRANGEBYSCORE', SCHEDULED, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or ''
end
if #due == 0 then
    return {seconds, microseconds, next_score, due, due}
end
local names = {}
for i = 1, #due, 2 do
    names[i] = PLAN .. due[i]
    names[i + 1] = STATE .. due[i]
end
local entries = redis.call('MGET', unpack(names))
for i = 1, #entries do entries[i] = entries[i] or '' end
return {seconds, microseconds, next_score, due, entries}
