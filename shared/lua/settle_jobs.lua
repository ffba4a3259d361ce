-- Ends proposals and running jobs: frees their slots and says where the jobs go.
-- KEYS: gen. ARGV: P, then for each job five: member, epoch (0 for a proposal), ticket (of a proposal),
-- how, milliseconds:
--   'drop'     it leaves the queue (finished, or the claim found that it does not wait); a proposal whose
--              job was pushed as ready meanwhile is ready: that row may be newer than the claim's
--   'ready'    it goes back to its old place
--   'blocked'  the same, and its host leaves its rings until something of that host changes
--   'delay'    it becomes ready after so many milliseconds
-- Frees only what epoch or ticket covers: a newer holder, or another proposal, keeps its slot. Idempotent.
-- Returns how many slots were freed. Cost: O(log n) for each job.
local freed = 0
for i = 2, #ARGV, 5 do
  local member, epoch, ticket = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local how, wait = ARGV[i + 3], tonumber(ARGV[i + 4])
  local held = read_held(member)
  local mine
  if held and epoch == 0 then
    mine = held.epoch == 0 and held.beat == ticket
  elseif held then
    mine = held.epoch > 0 and held.epoch <= epoch
  end
  if mine then
    freed = freed + 1
    local waits_again = how == 'drop' and held.epoch == 0 and call('SISMEMBER', P .. 'again', member) == 1
    if waits_again then how = 'ready' end
    free(member, held)
    if how ~= 'drop' and is_known(held.h) then
      if how == 'delay' then
        delay(member, held.t, held.p, held.h, now_ms() + wait)
      else
        enqueue(member, held.t, held.p, held.h, held.seq)
      end
    end
    if how == 'blocked' then
      for _, tp in ipairs(call('SMEMBERS', P .. 'hq:' .. held.h)) do call('ZREM', P .. 'ring:' .. tp, held.h) end
    else
      refresh(held.h)
    end
  end
end
return freed
