-- Make the engine know schedules, each only if its state is still as it was read.
-- ARGV: time (unix); how many bases follow, and for each of them how many texts and those: fields (name, value ...) that
-- several templates have alike; then for each registration its id, state as it was read ('' for none), new state, plan,
-- score or '', index value, the number of its base, how many texts of its own template fields, of display fields and
-- how many events follow, and those: name, value ..., name, value ..., event as JSON ...
-- Returns per registration 1, or 0 if somebody else was faster.
local results, ids, events, places, names, bases = {}, {}, {}, {}, {}, {}
local texts, indexed, known, additions, removals = {}, {}, {}, {}, {}
mend(SCHEDULED, 'zset')
mend(INDEX, 'hash')
mend(QUARANTINE, 'hash')
local position = 3
for n = 1, tonumber(ARGV[2]) do
    local last = position + ARGV[position]
    bases[n] = TEMPLATE .. ':' .. n -- of no schedule, whose ids have no colon; gone when this script ends
    redis.call('DEL', bases[n])
    redis.call('HSET', bases[n], unpack(ARGV, position + 1, last))
    position = last + 1
end
while position <= #ARGV do
    places[#places + 1] = position
    names[#names + 1] = STATE .. ARGV[position]
    position = position + 10 + ARGV[position + 7] + ARGV[position + 8] + ARGV[position + 9]
end
local states = redis.call('MGET', unpack(names))
for i, p in ipairs(places) do
    local id, score = ARGV[p], ARGV[p + 4]
    local template, job = TEMPLATE .. id, JOB .. id
    if (states[i] or '') ~= ARGV[p + 1] then
        results[i] = 0
    else
        local display = p + 10 + ARGV[p + 7]
        local told = display + ARGV[p + 8]
        redis.call('COPY', bases[tonumber(ARGV[p + 6])], template, 'REPLACE')
        redis.call('HSET', template, unpack(ARGV, p + 10, display - 1))
        if score ~= '' then
            redis.call('COPY', template, job, 'REPLACE')
            redis.call('HSET', job, 'status', 'scheduled', unpack(ARGV, display, told - 1))
            additions[#additions + 1] = score
            additions[#additions + 1] = id
            ids[id] = true
        else
            redis.call('DEL', job)
            removals[#removals + 1] = id
        end
        texts[#texts + 1] = PLAN .. id
        texts[#texts + 1] = ARGV[p + 3]
        texts[#texts + 1] = names[i]
        texts[#texts + 1] = ARGV[p + 2]
        indexed[#indexed + 1] = id
        indexed[#indexed + 1] = ARGV[p + 5]
        known[#known + 1] = id
        for n = told, told + ARGV[p + 9] - 1 do events[#events + 1] = ARGV[n] end
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
if #bases > 0 then redis.call('DEL', unpack(bases)) end
emit(ARGV[1], events)
wake_if_first(ids)
return results
