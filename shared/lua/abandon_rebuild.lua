-- Gives the right to rebuild up, so that the next one need not wait until it expires.
-- KEYS: gen. ARGV: P, token.
-- Returns 1, or 0 when another one has taken the rebuild over. Cost: O(1).
if not usable(ARGV[2]) then return 0 end
call('DEL', P .. 'gen', P .. 'rebuild')
return 1
