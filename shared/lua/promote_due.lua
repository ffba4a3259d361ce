-- Makes ready what is due: delayed jobs of some targets, and proposals that nobody settled. Looks at the queue
-- do the same, but nobody looks while no thread is free.
-- KEYS: gen. ARGV: P, most entries of each kind to look at, then the targets.
-- Returns how many entries were looked at, or 'REBUILD'. Cost: O(log n) for each entry.
if not usable('') then return 'REBUILD' end
local now, most = now_ms(), tonumber(ARGV[2])
local looked = expire(now, most)
for i = 3, #ARGV do looked = looked + promote(ARGV[i], now, most) end
return looked
