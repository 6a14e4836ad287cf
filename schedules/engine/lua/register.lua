-- Make the engine know schedules, each only if its state is still as it was read.
-- ARGV: registrations as JSON, time (unix), then for each its job payload and its state as it was read ('' for none)
-- A registration: {id, new state, plan, score or '', index value, template fields {name, value, ...},
--                  display fields {name, value, ...}, events {json, ...}}
-- Returns per registration 1, or 0 if somebody else was faster.
local registrations = cjson.decode(ARGV[1])
local results, ids, events = {}, {}, {}
local texts, indexed, known, additions, removals = {}, {}, {}, {}, {}
mend(SCHEDULED, 'zset')
mend(INDEX, 'hash')
mend(QUARANTINE, 'hash')
for i, r in ipairs(registrations) do
    local id = r[1]
    local template, job = TEMPLATE .. id, JOB .. id
    if (text_at(STATE .. id) or '') ~= ARGV[2 * i + 2] then
        results[i] = 0
    else
        redis.call('DEL', template)
        redis.call('HSET', template, 'data', ARGV[2 * i + 1], unpack(r[6]))
        if r[4] ~= '' then
            redis.call('COPY', template, job, 'REPLACE')
            redis.call('HSET', job, 'status', 'scheduled', unpack(r[7]))
            additions[#additions + 1] = r[4]
            additions[#additions + 1] = id
            ids[id] = true
        else
            redis.call('DEL', job)
            removals[#removals + 1] = id
        end
        for _, text in ipairs({PLAN .. id, r[3], STATE .. id, r[2]}) do texts[#texts + 1] = text end
        indexed[#indexed + 1] = id
        indexed[#indexed + 1] = r[5]
        known[#known + 1] = id
        for _, event in ipairs(r[8]) do events[#events + 1] = event end
        results[i] = 1
    end
end
-- One command each for all of them: the same id never comes twice in a call.
if #known > 0 then
    redis.call('MSET', unpack(texts))
    redis.call('HSET', INDEX, unpack(indexed))
    redis.call('HDEL', QUARANTINE, unpack(known))
end
if #additions > 0 then redis.call('ZADD', SCHEDULED, unpack(additions)) end
if #removals > 0 then redis.call('ZREM', SCHEDULED, unpack(removals)) end
emit(ARGV[2], events)
wake_if_first(ids)
return results
