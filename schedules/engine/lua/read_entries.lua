-- Read what is known of each id, and whether every part of it is there. Changes nothing.
-- ARGV: manual time or '', ids...
-- Returns: seconds, microseconds, then four lists in the order of the ids: index values, plans and states in turn,
-- scores, how many of template and display job exist. '' for what is absent.
local seconds, microseconds = moment(ARGV[1])
local ids, texts, hashes, parts = {}, {}, {}, {}
for i = 2, #ARGV do
    local id = ARGV[i]
    ids[#ids + 1] = id
    texts[#texts + 1] = PLAN .. id
    texts[#texts + 1] = STATE .. id
    hashes[#hashes + 1] = TEMPLATE .. id
    hashes[#hashes + 1] = JOB .. id
end
-- One question for all of them; one for each only where some are there and some are missing.
local count = #ids > 0 and redis.call('EXISTS', unpack(hashes)) or 0
for i = 1, #ids do
    if count == #hashes then
        parts[i] = 2
    elseif count == 0 then
        parts[i] = 0
    else
        parts[i] = redis.call('EXISTS', hashes[2 * i - 1], hashes[2 * i])
    end
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
