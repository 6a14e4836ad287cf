-- Make the engine know schedules, each only if its state is still as it was read.
-- ARGV: registrations as JSON, time (unix), then for each its job payload and its state as it was read ('' for none)
-- A registration: {id, new state, plan, score or '', index value, template fields {name, value, ...},
--                  display fields {name, value, ...}, events {json, ...}}
-- Returns per registration 1, or 0 if somebody else was faster.
local registrations = cjson.decode(ARGV[1])
local results, ids, events = {}, {}, {}
mend(SCHEDULED, 'zset')
mend(INDEX, 'hash')
mend(QUARANTINE, 'hash')
for i, r in ipairs(registrations) do
    local id = r[1]
    local template, job = TEMPLATE .. id, JOB .. id
    if (text_at(STATE .. id) or '') ~= ARGV[2 * i + 2] then
        results[i] = 0
    else
        redis.call('MSET', PLAN .. id, r[3], STATE .. id, r[2])
        redis.call('DEL', template)
        redis.call('HSET', template, 'data', ARGV[2 * i + 1], unpack(r[6]))
        redis.call('HSET', INDEX, id, r[5])
        redis.call('HDEL', QUARANTINE, id)
        if r[4] ~= '' then
            redis.call('ZADD', SCHEDULED, r[4], id)
            redis.call('COPY', template, job, 'REPLACE')
            redis.call('HSET', job, 'status', 'scheduled', unpack(r[7]))
            ids[id] = true
        else
            redis.call('ZREM', SCHEDULED, id)
            redis.call('DEL', job)
        end
        for _, event in ipairs(r[8]) do events[#events + 1] = event end
        results[i] = 1
    end
end
emit(ARGV[2], events)
wake_if_first(ids)
return results
