-- Tells the limits of source hosts.
-- KEYS: gen (names the cluster slot). ARGV: P, rebuild token or '', then for each host: id, limit
-- (0 while nothing may start), reserved for priority.
-- Returns 1, or 'REBUILD'. Cost: O(hosts given × their queues).
if not usable(ARGV[2]) then return 'REBUILD' end
keep_rebuilding(ARGV[2])
for i = 3, #ARGV, 3 do
  call('HSET', P .. 'hosts', ARGV[i], ARGV[i + 1] .. ':' .. ARGV[i + 2])
  refresh(ARGV[i])
end
return 1
