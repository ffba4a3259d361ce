-- Brings what the queue knows of some migrations in line with their rows. Idempotent.
-- KEYS: gen. ARGV: P, rebuild token or '', then for each migration seven: member, what
-- ('ready': waits for a worker; 'running': a worker holds its lease; 'ended': neither),
-- epoch of the row, target, priority (1 or 0), host, milliseconds until it may start.
-- Returns how many became ready or delayed that were not, or 'REBUILD'. Cost: O(log n) for each migration.
if not usable(ARGV[2]) then return 'REBUILD' end
keep_rebuilding(ARGV[2])
local count = (#ARGV - 2) / 7
local seq = call('INCRBY', P .. 'seq', count) - count
local now = now_ms()
local touched, added = {}, 0
for i = 0, count - 1 do
  local b = 3 + i * 7
  local member, what, epoch = ARGV[b], ARGV[b + 1], tonumber(ARGV[b + 2])
  local t, p, h, wait = ARGV[b + 3], ARGV[b + 4], ARGV[b + 5], tonumber(ARGV[b + 6])
  local held = read_held(member)
  seq = seq + 1
  if what == 'ended' then
    dequeue(member, t, '0', h)
    dequeue(member, t, '1', h)
    undelay(member, t, h)
    -- The claim refuses a proposal of it; a running one keeps its slot until its lease is gone.
    if held and held.epoch > 0 and held.epoch <= epoch then
      free(member, held)
      touched[held.h] = true
    end
  elseif what == 'running' then
    if not held then
      dequeue(member, t, '0', h)
      dequeue(member, t, '1', h)
      undelay(member, t, h)
      call('ZADD', P .. 'slots:' .. h, 'inf', member)
      write_held(member, { epoch = epoch, h = h, t = t, p = p, seq = 0, beat = 0 })
      touched[h] = true
    end
  elseif held and held.epoch == 0 then
    -- The claim that is under way may have seen an older row, or another priority.
    call('SADD', P .. 'again', member)
    if held.p ~= p then
      held.p = p
      write_held(member, held)
    end
  elseif not held or held.epoch < epoch then
    if held then
      free(member, held)
      touched[held.h] = true
    end
    -- The priority may have changed: it stands in one queue at most.
    dequeue(member, t, p == '1' and '0' or '1', h)
    local waited = undelay(member, t, h)
    if wait > 0 then
      dequeue(member, t, p, h)
      added = added + math.max(0, delay(member, t, p, h, now + wait) - waited)
    else
      added = added + math.max(0, enqueue(member, t, p, h, seq) - waited)
      touched[h] = true
    end
  end
end
for h in pairs(touched) do refresh(h) end
return added
