-- Forgets source hosts that are gone, with what waits for them. Slots of them go when they are settled.
-- KEYS: gen. ARGV: P, then the hosts.
-- Returns 1, or 'REBUILD'. Cost: O(queues of the hosts); what waits in them is freed in the background.
if not usable('') then return 'REBUILD' end
for i = 2, #ARGV do
  local h = ARGV[i]
  for _, tp in ipairs(call('SMEMBERS', P .. 'hq:' .. h)) do
    call('UNLINK', P .. 'q:' .. tp .. ':' .. h)
    call('ZREM', P .. 'ring:' .. tp, h)
  end
  call('DEL', P .. 'hq:' .. h)
  call('HDEL', P .. 'hosts', h)
end
return 1
