-- Make the engine forget schedules. What is left for a day (or, with keep, until it is registered again) is
-- the last slot: whoever registers the id again must not run that slot a second time.
-- ARGV: keep (0/1), new generation, only this source or '', ids...
-- Returns per id 1 if it was known.
local results = {}
mend(SCHEDULED, 'zset')
mend(INDEX, 'hash')
mend(QUARANTINE, 'hash')
for i = 4, #ARGV do
    local id = ARGV[i]
    local index = redis.call('HGET', INDEX, id)
    local source = index and string.match(index, '^[^:]*') or ''
    if ARGV[3] ~= '' and index and source ~= ARGV[3] then
        results[#results + 1] = 0
    else
        local known = redis.call('ZREM', SCHEDULED, id) + redis.call('HDEL', INDEX, id)
        known = known + redis.call('DEL', PLAN .. id)
        local generation, _, last_slot, runs, active = parts_of(text_at(STATE .. id))
        if generation then
            redis.call('SET', STATE .. id, ARGV[2] .. ' - ' .. last_slot .. ' ' .. runs .. ' ' .. active)
            if ARGV[1] == '0' then redis.call('EXPIRE', STATE .. id, TOMBSTONE_SECONDS) end
        else
            redis.call('DEL', STATE .. id)
        end
        redis.call('HDEL', QUARANTINE, id)
        if redis.call('DEL', TEMPLATE .. id) == 1 or known > 0 then
            -- A one-off made with rq-scheduler's own API that has been dispatched is a job of its own by now.
            if redis.pcall('HGET', JOB .. id, 'status') == 'scheduled' then redis.call('DEL', JOB .. id) end
        end
        results[#results + 1] = known > 0 and 1 or 0
    end
end
return results
