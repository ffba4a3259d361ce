-- Takes the right to rebuild the queues when `gen` is missing, or when the one who had it is dead.
-- KEYS: gen. ARGV: P, token, how long the right lasts without a load (ms).
-- Returns 1 when the caller rebuilds, else 0. Cost: O(1).
local gen = call('GET', P .. 'gen')
if gen and (string.sub(gen, 1, 9) ~= 'building:' or call('EXISTS', P .. 'rebuild') == 1) then return 0 end
call('SET', P .. 'gen', 'building:' .. ARGV[2])
-- Tickets of the time before must not come again.
call('SET', P .. 'pass', int(now_ms()), 'NX')
call('SET', P .. 'rebuild', ARGV[2], 'PX', ARGV[3])
return 1
