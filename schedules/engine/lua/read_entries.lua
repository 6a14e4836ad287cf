-- Read what is known of each id, and whether every part of it is there. Changes nothing.
-- ARGV: manual time or '', ids...
-- Returns: seconds, microseconds, then four lists in the order of the ids: index values, plans and states in turn,
-- scores, how many of template and display job exist. '' for what is absent.
local seconds, microseconds = moment(ARGV[1])
local ids, texts, parts = {}, {}, {}
for i = 2, #ARGV do
    local id = ARGV[i]
    ids[#ids + 1] = id
    texts[#texts + 1] = PLAN .. id
    texts[#texts + 1] = STATE .. id
    parts[#parts + 1] = redis.call('EXISTS', TEMPLATE .. id, JOB .. id)
end
local function filled(list, count)
    if list.err then list = {} end
    for i = 1, count do list[i] = list[i] or '' end
    return list
end
return {
    seconds, microseconds,
    filled(redis.pcall('HMGET', INDEX, unpack(ids)), #ids),
    filled(redis.call('MGET', unpack(texts)), #texts),
    filled(redis.pcall('ZMSCORE', SCHEDULED, unpack(ids)), #ids),
    parts,
}
