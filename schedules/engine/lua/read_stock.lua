-- Read members that are not ours: the job hash of each, without its payload, which is never opened here.
-- ARGV: ids...
-- Returns a row for each: {what Redis said if it cannot be read or '', payload there (0/1), index value or '',
-- name, value, name, value ...}
local rows = {}
for i = 1, #ARGV do
    local names = redis.pcall('HKEYS', JOB .. ARGV[i])
    local known = redis.pcall('HGET', INDEX, ARGV[i])
    if type(known) ~= 'string' then known = '' end
    if names.err then
        rows[i] = {names.err, 0, known}
    else
        local row, wanted = {'', 0, known}, {}
        for _, name in ipairs(names) do
            if name == 'data' then row[2] = 1 else wanted[#wanted + 1] = name end
        end
        if #wanted > 1000 then
            row[1] = 'its job has ' .. #wanted .. ' fields'
        elseif #wanted > 0 then
            local values = redis.call('HMGET', JOB .. ARGV[i], unpack(wanted))
            for n, name in ipairs(wanted) do
                row[#row + 1] = name
                row[#row + 1] = values[n]
            end
        end
        rows[i] = row
    end
end
return rows
