-- Replaces what a worker says of its running jobs. Gone by itself when the worker is.
-- KEYS: gen. ARGV: P, worker, milliseconds that it stays, then for each job two: member, progress (JSON).
-- Returns the number of jobs. Cost: O(1) for each job.
local key = P .. 'progress:' .. ARGV[2]
call('DEL', key)
for i = 4, #ARGV, 2 do
  call('HSET', key, ARGV[i], ARGV[i + 1])
end
if #ARGV > 3 then call('PEXPIRE', key, ARGV[3]) end
return (#ARGV - 3) / 2
