-- Read a batch of due members with all that is needed to decide about them. Changes nothing.
-- ARGV: limit, manual time or ''
-- Returns: seconds, microseconds, score of the next member that is not due ('' for none), rows.
-- A row is {id, score, kind, ...}; kind 'entry': plan, state, source;
-- 'stock' (made with rq-scheduler's own API): the fields of its job hash; 'broken': what Redis said.
local limit = tonumber(ARGV[1])
local seconds, microseconds = moment(ARGV[2])
local now = text_of(seconds, microseconds)
local due = redis.call('ZRANGEBYSCORE', SCHEDULED, '-inf', now, 'WITHSCORES', 'LIMIT', 0, limit)
local rows = {}
for i = 1, #due, 2 do
    local id, score = due[i], due[i + 1]
    local state = redis.pcall('HMGET', ENTRY .. id, 'plan', 'state', 'source')
    if state.err then
        rows[#rows + 1] = {id, score, 'broken', state.err}
    elseif state[1] then
        rows[#rows + 1] = {id, score, 'entry', state[1], state[2], state[3]}
    else
        -- HGETALL without the payload, which may be large and is never opened here.
        local names = redis.pcall('HKEYS', JOB .. id)
        if names.err then
            rows[#rows + 1] = {id, score, 'broken', names.err}
        else
            local wanted = {}
            local has_data = ''
            for _, name in ipairs(names) do
                if name == 'data' then has_data = '1' else wanted[#wanted + 1] = name end
            end
            local row = {id, score, 'stock', has_data}
            if #wanted > 0 and #wanted < 1000 then
                local values = redis.call('HMGET', JOB .. id, unpack(wanted))
                for n, name in ipairs(wanted) do
                    row[#row + 1] = name
                    row[#row + 1] = values[n]
                end
            end
            rows[#rows + 1] = row
        end
    end
end
local next_score = ''
if #due < limit * 2 then
    next_score = redis.call('ZRANGEBYSCORE', SCHEDULED, '(' .. now, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2] or ''
end
return {seconds, microseconds, next_score, rows}
