-- Takes the next jobs of a target and a slot for each, for a visibility time: priority jobs first,
-- hosts in turn. A job that is not settled in that time is ready again.
-- KEYS: gen. ARGV: P, target, most jobs, most of them without priority, visibility (ms),
-- most delayed and expired entries to look at.
-- Returns 'REBUILD', or { milliseconds until the next timer or -1, member, host, priority, ticket, member, … }.
-- Cost: O(log n) for each job, whatever the backlog.
if not usable('') then return 'REBUILD' end
local T, most, most_normal = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local visibility, chores = tonumber(ARGV[5]), tonumber(ARGV[6])
local now = now_ms()

promote(T, now, chores)
expire(now, chores)

local out, got, got_normal = { -1 }, 0, 0
-- What the hosts have left that this call has taken from.
local rooms = {}
-- Each turn gives a job or takes a host out of a ring, so this ends; the budget bounds it anyway.
local budget = 2 * most + chores
for _, p in ipairs({ '1', '0' }) do
  local tp = T .. ':' .. p
  local ring = P .. 'ring:' .. tp
  while got < most and (p == '1' or got_normal < most_normal) and budget > 0 do
    budget = budget - 1
    local h = call('ZRANGE', ring, 0, 0)[1]
    if not h then break end
    local popped = call('ZPOPMIN', P .. 'q:' .. tp .. ':' .. h)
    local member, seq = popped[1], popped[2]
    if not member then
      call('ZREM', ring, h)
      forget_empty(tp, h)
    elseif read_held(member) then
      -- Running or proposed already (an old dump came back): it must not be proposed twice.
      forget_empty(tp, h)
    else
      call('ZADD', P .. 'slots:' .. h, now + visibility, member)
      call('ZADD', P .. 'proposals', now + visibility, member)
      local pass = call('INCR', P .. 'pass')
      write_held(member, { epoch = 0, h = h, t = T, p = p, seq = tonumber(seq), beat = pass })
      call('ZADD', ring, 'XX', pass, h)
      forget_empty(tp, h)
      local room = rooms[h]
      if room then
        room.free = room.free - 1
      else
        room = {}
        room.free, room.reserved = room_of(h)
        rooms[h] = room
      end
      -- While it has room for both kinds of jobs, it stays where it is.
      if room.free <= room.reserved then refresh(h) end
      for _, item in ipairs({ member, h, p, int(pass) }) do out[#out + 1] = item end
      got = got + 1
      if p == '0' then got_normal = got_normal + 1 end
    end
  end
end

local first_delay = call('ZRANGE', P .. 'delayed:' .. T, 0, 0, 'WITHSCORES')[2]
local first_expiry = call('ZRANGE', P .. 'proposals', 0, 0, 'WITHSCORES')[2]
local timer = math.min(tonumber(first_delay) or math.huge, tonumber(first_expiry) or math.huge)
if timer < math.huge then out[1] = math.max(timer - now, 0) end
return out
