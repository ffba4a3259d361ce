-- Opens the queues after the last load.
-- KEYS: gen. ARGV: P, token, the new `gen`.
-- Returns 1, or 0 when another one has taken the rebuild over. Cost: O(1).
if not usable(ARGV[2]) then return 0 end
call('SET', P .. 'gen', ARGV[3])
call('DEL', P .. 'rebuild')
call('PUBLISH', P .. 'wake', '1')
return 1
