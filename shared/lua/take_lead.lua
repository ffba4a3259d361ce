-- Takes or keeps the lead in a duty that one scheduler at a time has.
-- KEYS: gen. ARGV: P, duty, token of the caller, how long the lead lasts (ms).
-- Returns 1 when the caller leads, else 0. Cost: O(1).
local key = P .. 'lead:' .. ARGV[2]
local leader = call('GET', key)
if leader and leader ~= ARGV[3] then return 0 end
call('SET', key, ARGV[3], 'PX', ARGV[4])
return 1
