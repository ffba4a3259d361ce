-- Confirms that jobs are running and raises their beats. Works without `gen`: what runs, runs, and
-- it takes over an absent slot, a proposal, or a lower epoch, over the limit if need be.
-- KEYS: gen. ARGV: P, then for each job five: member, epoch, host, target, priority (1 or 0).
-- Returns a list of 1 (confirmed) or 0 (a higher epoch holds it). Cost: O(log n) for each job.
local out = {}
for i = 2, #ARGV, 5 do
  local member, epoch, h, t, p = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local held = read_held(member)
  if held and held.epoch > epoch then
    out[#out + 1] = 0
  else
    if not held or held.epoch ~= epoch then
      if held and held.h ~= h then free(member, held) end
      if held and held.epoch == 0 then
        call('ZREM', P .. 'proposals', member)
        call('SREM', P .. 'again', member)
      else
        dequeue(member, t, '0', h)
        dequeue(member, t, '1', h)
        undelay(member, t, h)
      end
      -- A slot that its proposal had takes no room.
      if call('ZADD', P .. 'slots:' .. h, 'inf', member) == 1 then refresh(h) end
    end
    local seq = held and held.seq or 0
    local beat = held and held.epoch > 0 and held.beat or 0
    write_held(member, { epoch = epoch, h = h, t = t, p = p, seq = seq, beat = beat + 1 })
    out[#out + 1] = 1
  end
end
return out
