-- Ends proposals and running jobs: frees their slots and says where the jobs go.
-- KEYS: gen. ARGV: P, then for each job four: member, epoch (0 for a proposal), how, milliseconds:
--   'drop'     it leaves the queue (finished, or the claim found that it does not wait)
--   'ready'    it goes back to its old place
--   'blocked'  the same, and its host leaves its rings until something of that host changes
--   'delay'    it becomes ready after so many milliseconds
-- Frees only what the epoch covers: a newer holder, or a newer proposal, keeps its slot. Idempotent.
-- Returns how many slots were freed. Cost: O(log n) for each job.
local freed = 0
for i = 2, #ARGV, 4 do
  local member, epoch, how, wait = ARGV[i], tonumber(ARGV[i + 1]), ARGV[i + 2], tonumber(ARGV[i + 3])
  local held = read_held(member)
  -- A proposal (epoch 0) is ended by its proposer alone: a late release must not throw a newer one away.
  if held and (held.epoch == 0) == (epoch == 0) and held.epoch <= epoch then
    freed = freed + 1
    free(member, held)
    if how == 'ready' or how == 'blocked' then
      enqueue(member, held.t, held.p, held.h, held.seq)
    elseif how == 'delay' then
      delay(member, held.t, held.p, held.h, now_ms() + wait)
    end
    if how == 'blocked' then
      for _, tp in ipairs(call('SMEMBERS', P .. 'hq:' .. held.h)) do call('ZREM', P .. 'ring:' .. tp, held.h) end
    else
      refresh(held.h)
    end
  end
end
return freed
