-- Where are these jobs? Changes nothing.
-- ARGV: job ids
-- Returns per job {verdict, status, worker, when a finished one ended, what a failed one said}:
--   fine    waiting in a queue or registry, or in a worker's hands
--   gone    there is no job any more
--   dead    started, but no worker gives a sign of life for it
--   lost    to be run, but in no queue, no registry and no worker's hands
--   stuck   waits for its turn behind runs that are over
--   over    it has ended
local function in_hands(job_id)
    for _, execution in ipairs(redis.call('ZRANGE', P .. ':executions:' .. job_id, 0, -1)) do
        if redis.call('EXISTS', P .. ':execution:' .. job_id .. ':' .. execution) == 1 then return true end
    end
    return false
end

local function is_listed(key, job_id)
    local found = redis.pcall('LPOS', key, job_id)
    return type(found) == 'number'
end

local function is_member(key, job_id)
    local score = redis.pcall('ZSCORE', key, job_id)
    return type(score) == 'string'
end

local results = {}
for i, job_id in ipairs(ARGV) do
    local fields = redis.pcall('HMGET', JOB .. job_id, 'status', 'worker_name', 'origin', 'rate_limit_key', 'ended_at', 'data')
    local status = not fields.err and fields[1] or false
    local verdict = 'gone'
    if status and fields[6] then
        local origin = fields[3] or ''
        if status == 'started' then
            verdict = in_hands(job_id) and 'fine' or 'dead'
        elseif status == 'queued' then
            verdict = (is_listed(QUEUE .. origin, job_id) or in_hands(job_id)) and 'fine' or 'lost'
        elseif status == 'scheduled' then
            verdict = is_member(P .. ':scheduled:' .. origin, job_id) and 'fine' or 'lost'
        elseif status == 'rate_limited' then
            local limit = P .. ':rl:' .. (fields[4] or '')
            if not is_member(limit .. ':rate_limited', job_id) then
                verdict = 'lost'
            else
                verdict = 'stuck'
                for _, other in ipairs(redis.call('ZRANGE', limit .. ':allowed', 0, 99)) do
                    local state = redis.pcall('HGET', JOB .. other, 'status')
                    if state == 'queued' or state == 'started' then verdict = 'fine' end
                end
            end
        elseif status == 'deferred' or status == 'created' then
            verdict = 'fine'
        else
            verdict = 'over'
        end
    end
    results[i] = {verdict, status or '', fields[2] or '', fields[5] or '', fields[4] or ''}
end
return results
