-- What every script shares; it stands before each of them.
--
-- All keys begin with the prefix P (ARGV[1]), which carries the hash tag, `{dmf}:` by default:
--   gen                 string  random number of this life of the queue; 'building:<token>' during a rebuild
--   rebuild             string  token of the running rebuild, expires when that dies
--   hosts               hash    host -> '<limit>:<reserved for priority>'; a missing host has limit 0
--   q:<t>:<p>:<h>       zset    ready jobs of target t, priority p (1 or 0), host h; score = sequence
--   hq:<h>              set     '<t>:<p>' of every ready queue of the host that is not empty
--   ring:<t>:<p>        zset    hosts with ready jobs and a free slot; score = stride pass
--   slots:<h>           zset    the semaphore: member -> visibility deadline (ms), or inf when running
--   held                hash    member -> '<epoch>:<h>:<t>:<p>:<sequence>:<beat>'; epoch 0 is a proposal,
--                               whose beat is its ticket: no other proposal of this job has the same
--   proposals           zset    member -> visibility deadline (ms)
--   again               set     proposals whose jobs were pushed as ready meanwhile: dropped, they are ready.
--                               What is held, proposed or running, waits in no queue and is not delayed
--   delayed:<t>         zset    '<p>:<h>:<member>' -> time at which it becomes ready (ms)
--   seq, pass           string  counters
--   replicas            string  set once Redis was seen to have replicas
--   lead:<duty>         string  who has a duty, expires when that dies
--   progress:<worker>   hash    member -> how far it has come, as JSON; expires when the worker is gone
--   orders:<backend>    hash    member -> a cancel or close that was sent to that worker, for ten minutes
-- Channels: wake:<t> when a host enters a ring of t or t has a new earliest delay; wake after a rebuild.
-- A member is '<source id>:<journal id>'.
local P = ARGV[1]
local call = redis.call

local function int(n) return string.format('%.0f', n) end

local function now_ms()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- Whether the queues may be used by a caller with this token ('' for everybody but a rebuild).
local function usable(token)
  local gen = call('GET', P .. 'gen')
  if not gen then return false end
  if token ~= '' then return gen == 'building:' .. token end
  return string.sub(gen, 1, 9) ~= 'building:'
end

-- A load shows that the rebuild of this token goes on.
local function keep_rebuilding(token)
  if token ~= '' then call('PEXPIRE', P .. 'rebuild', 30000) end
end

local function read_held(member)
  local text = call('HGET', P .. 'held', member)
  if not text then return nil end
  local epoch, h, t, p, seq, beat = string.match(text, '^(%d+):(%d+):(%d+):(%d):(%d+):(%d+)$')
  return { epoch = tonumber(epoch), h = h, t = t, p = p, seq = tonumber(seq), beat = tonumber(beat) }
end

local function write_held(member, r)
  call('HSET', P .. 'held', member,
    int(r.epoch) .. ':' .. r.h .. ':' .. r.t .. ':' .. r.p .. ':' .. int(r.seq) .. ':' .. int(r.beat))
end

-- How many slots of the host are free, and how many of them only priority jobs take.
local function room_of(h)
  local limit, reserved = string.match(call('HGET', P .. 'hosts', h) or '0:0', '^(%d+):(%d+)$')
  return tonumber(limit) - call('ZCARD', P .. 'slots:' .. h), tonumber(reserved)
end

-- Puts the host into the rings where it has ready jobs and room, and takes it out of the others.
-- O(queues of the host): at most two a target.
local function refresh(h)
  local queues = call('SMEMBERS', P .. 'hq:' .. h)
  if #queues == 0 then return end
  local room, reserved = room_of(h)
  for _, tp in ipairs(queues) do
    local ring = P .. 'ring:' .. tp
    local t, p = string.match(tp, '^(%d+):(%d)$')
    if room > (p == '1' and 0 or reserved) then
      if not call('ZSCORE', ring, h) then
        call('ZADD', ring, call('INCR', P .. 'pass'), h)
        call('PUBLISH', P .. 'wake:' .. t, '1')
      end
    else
      call('ZREM', ring, h)
    end
  end
end

-- The queue of (t:p, h) ran empty.
local function forget_empty(tp, h)
  if call('EXISTS', P .. 'q:' .. tp .. ':' .. h) == 0 then
    call('SREM', P .. 'hq:' .. h, tp)
    call('ZREM', P .. 'ring:' .. tp, h)
  end
end

-- Makes a job ready without looking at the rings; a job that is ready already keeps its place.
-- Returns 1 when it was not ready before.
local function enqueue(member, t, p, h, seq)
  call('SADD', P .. 'hq:' .. h, t .. ':' .. p)
  return call('ZADD', P .. 'q:' .. t .. ':' .. p .. ':' .. h, 'NX', seq, member)
end

-- Takes a job out of a ready queue, if it is there.
local function dequeue(member, t, p, h)
  if call('ZREM', P .. 'q:' .. t .. ':' .. p .. ':' .. h, member) == 1 then forget_empty(t .. ':' .. p, h) end
end

-- Returns 1 when it was not delayed before.
local function delay(member, t, p, h, due)
  local key, entry = P .. 'delayed:' .. t, p .. ':' .. h .. ':' .. member
  local added = call('ZADD', key, due, entry)
  if call('ZRANK', key, entry) == 0 then call('PUBLISH', P .. 'wake:' .. t, '1') end
  return added
end

-- Returns how often it was delayed.
local function undelay(member, t, h)
  return call('ZREM', P .. 'delayed:' .. t, '0:' .. h .. ':' .. member, '1:' .. h .. ':' .. member)
end

-- Frees the slot that `held` (from read_held) describes.
local function free(member, held)
  call('ZREM', P .. 'slots:' .. held.h, member)
  if held.epoch == 0 then
    call('ZREM', P .. 'proposals', member)
    call('SREM', P .. 'again', member)
  end
  call('HDEL', P .. 'held', member)
end

-- Whether somebody has told the limit of this host. What waits for a host that is gone would wait for ever.
local function is_known(h) return call('HEXISTS', P .. 'hosts', h) == 1 end

-- Delayed jobs of a target whose time has come become ready. Looks at `most` and returns at how many.
local function promote(t, now, most)
  local touched = {}
  local due = call('ZRANGEBYSCORE', P .. 'delayed:' .. t, '-inf', now, 'LIMIT', 0, most)
  for _, entry in ipairs(due) do
    local p, h, member = string.match(entry, '^(%d):(%d+):(.+)$')
    call('ZREM', P .. 'delayed:' .. t, entry)
    if is_known(h) then
      enqueue(member, t, p, h, call('INCR', P .. 'seq'))
      touched[h] = true
    end
  end
  for h in pairs(touched) do refresh(h) end
  return #due
end

-- Proposals that nobody settled go back to their old place. Looks at `most` and returns at how many.
local function expire(now, most)
  local over = call('ZRANGEBYSCORE', P .. 'proposals', '-inf', now, 'LIMIT', 0, most)
  for _, member in ipairs(over) do
    local held = read_held(member)
    if held and held.epoch == 0 then
      free(member, held)
      if is_known(held.h) then enqueue(member, held.t, held.p, held.h, held.seq) end
      refresh(held.h)
    else
      call('ZREM', P .. 'proposals', member)
    end
  end
  return #over
end
