"""The Lua scripts of the Redis store. Redis runs a script as one step and logs it as one transaction.

Each entry of a batch is a run of ARGV; every key that a script touches is passed in KEYS, as Redis Cluster, proxies and
access lists by key ask. Numbers travel as text, so that Lua's conversions don't touch them.
"""

from router_backend.state.store import RECENT_KEPT

# In front of each script: it takes the last of KEYS and of ARGV, the key of the store's identity and what it must be.
GUARD_ERRORS = ("STOREREPLACED", "STOREUNSAFE")
_GUARD_IDENTITY = """
if redis.call('GET', table.remove(KEYS)) ~= table.remove(ARGV) then
  return redis.error_reply('STOREREPLACED another store')
end
"""
_GUARD_FILE = """
if not string.find(redis.call('INFO', 'persistence'), 'aof_enabled:1', 1, true) then
  return redis.error_reply('STOREUNSAFE the append-only file is off')
end
"""
_GUARD_EVICTION = """
local memory = redis.call('INFO', 'memory')
if string.find(memory, 'maxmemory_policy:', 1, true) and not string.find(memory, 'maxmemory_policy:noeviction', 1, true) then
  return redis.error_reply('STOREUNSAFE it may evict')
end
"""


def guard(file: bool) -> str:
    """`file`: what is written must go to an append-only file."""
    return _GUARD_IDENTITY + (_GUARD_FILE if file else "") + _GUARD_EVICTION


# The last of KEYS that a script gets for itself is the stream of what an archive hasn't got (redis.outbox). It is added to where it
# exists: where there is an archive.
_OUTBOX = """
local outbox = table.remove(KEYS)
local function tell(kind, id) redis.call('XADD', outbox, 'NOMKSTREAM', '*', kind, id) end
"""

# KEYS: counter, the set of recent decisions, then one per decision, then three per outcome: its own, and its day's and its month's
# spending. ARGV: number of decisions, then (value, seconds to live, arm, id, time) per decision, then (value, seconds to live, API key, USD or '',
# when the spending expires, decision id) per outcome.
APPEND = (
    _OUTBOX
    + """
local function put(i, arg)
  return redis.call('SET', KEYS[i], ARGV[arg], 'NX', 'EX', ARGV[arg + 1])
end
local arg, outcomes = 2, tonumber(ARGV[1]) + 3
for i = 3, outcomes - 1 do
  if put(i, arg) then
    redis.call('HINCRBY', KEYS[1], ARGV[arg + 2], 1)
    redis.call('ZADD', KEYS[2], ARGV[arg + 4], ARGV[arg + 3])
    tell('d', ARGV[arg + 3])
  end
  arg = arg + 5
end
if outcomes > 3 then redis.call('ZREMRANGEBYRANK', KEYS[2], 0, -"""
    + str(RECENT_KEPT + 1)
    + """) end
for i = outcomes, #KEYS, 3 do
  if put(i, arg) then
    tell('o', ARGV[arg + 5])
    if ARGV[arg + 3] ~= '' then
      for period = i + 1, i + 2 do
        redis.call('HINCRBYFLOAT', KEYS[period], ARGV[arg + 2], ARGV[arg + 3])
        redis.call('EXPIREAT', KEYS[period], ARGV[arg + 4])
      end
    end
  end
  arg = arg + 6
end
"""
)

# The position in the log is the stream's entry id: it grows by one, inside the script.
_EMIT = """
local function emit(event, context)
  local sequence = redis.call('INCR', KEYS[2])
  redis.call('XADD', KEYS[1], sequence .. '-0', 'e', event, 'c', context)
end
"""

# KEYS: events, sequence, counter, the two sets of pending feedback, then one per feedback. ARGV, per feedback: decision
# id, received, seconds to live, precedence, kind of pending ('' for none), arm, quality, cost, body, event ('' for none),
# context. Returns, per feedback, '' if it was taken, else the {arm, quality, cost} that were kept. Without any
# feedback it writes a number again as it was, to see that it can.
FEEDBACK = (
    _OUTBOX
    + _EMIT
    + """
if #KEYS == 5 then redis.call('INCRBY', KEYS[2], 0) end
local sets, results, counts = {implicit = KEYS[4], unanswered = KEYS[5]}, {}, {}
for i = 6, #KEYS do
  local a = (i - 6) * 11
  local id, pending, event = ARGV[a + 1], ARGV[a + 5], ARGV[a + 10]
  local first = redis.call('HMGET', KEYS[i], 'arm', 'quality', 'cost', 'pending', 'precedence')
  if first[1] and (first[4] ~= 'implicit' or tonumber(ARGV[a + 4]) <= tonumber(first[5] or '0')) then
    results[i - 5] = {first[1], first[2], first[3]}
  else
    if not first[1] then counts[ARGV[a + 6]] = (counts[ARGV[a + 6]] or 0) + 1 end
    redis.call('HSET', KEYS[i], 'arm', ARGV[a + 6], 'quality', ARGV[a + 7], 'cost', ARGV[a + 8], 'body', ARGV[a + 9],
      'pending', pending, 'precedence', ARGV[a + 4])
    redis.call('EXPIRE', KEYS[i], ARGV[a + 3])
    if first[1] then redis.call('ZREM', KEYS[4], id) end
    if pending ~= '' then
      redis.call('ZADD', sets[pending], ARGV[a + 2], id)
    else
      tell('f', id)
      if event ~= '' then emit(event, ARGV[a + 11]) end
    end
    results[i - 5] = ''
  end
end
for arm, number in pairs(counts) do redis.call('HINCRBY', KEYS[3], arm, number) end
return results
"""
)

# KEYS: events, sequence, counter, the set of pending feedback, then one per feedback. ARGV, per feedback: decision id,
# arm, cost, event ('' if its decision is past its retention), context. Returns how many became events.
SETTLE = (
    _OUTBOX
    + _EMIT
    + """
local events = 0
for i = 5, #KEYS do
  local a = (i - 5) * 5
  if redis.call('ZREM', KEYS[4], ARGV[a + 1]) == 1 and ARGV[a + 4] ~= '' then
    redis.call('HSET', KEYS[i], 'arm', ARGV[a + 2], 'cost', ARGV[a + 3], 'pending', '')
    emit(ARGV[a + 4], ARGV[a + 5])
    tell('f', ARGV[a + 1])
    events = events + 1
  end
end
return events
"""
)

# KEYS: the log's name, the key of the checkpoints, the positions of all older ones. ARGV: the name that it must have, position, bytes,
# seconds to live, the checkpoints' name among the positions. Returns 1 if it was kept; the one before it stays beside it.
CHECKPOINT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local latest = redis.call('HMGET', KEYS[2], 'sequence', 'body')
if latest[1] and tonumber(latest[1]) >= tonumber(ARGV[2]) then return 0 end
if latest[2] then redis.call('HSET', KEYS[2], 'previous', latest[2]) end
redis.call('HSET', KEYS[3], ARGV[5], latest[1] or ARGV[2])
redis.call('HSET', KEYS[2], 'sequence', ARGV[2], 'body', ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[4])
return 1
"""

# KEYS: the readers, what was removed, the checkpoints that the reader starts from. ARGV: its name, its log, position and key, the
# checkpoints' seconds to live. Returns the mark.
FOLLOW = """
redis.call('HSET', KEYS[1], ARGV[1], redis.call('TIME')[1] .. ' ' .. ARGV[2])
redis.call('EXPIRE', KEYS[3], ARGV[3])
return redis.call('HGET', KEYS[2], 'mark') or '0'
"""

# KEYS: the log's name, events, the latest event that the archive has, the readers, the positions of older checkpoints, what was
# removed. ARGV: the name that the log must have, seconds after which a reader isn't there and a key holds nothing, the most that is
# removed. Returns how many events were.
COMPACT = """
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
local now, limit, heard = tonumber(redis.call('TIME')[1]), tonumber(redis.call('GET', KEYS[3]) or '0'), false
local readers = redis.call('HGETALL', KEYS[4])
for i = 1, #readers, 2 do
  local seen, log, sequence, key = string.match(readers[i + 1], '^(%d+) (%S*) (%d+) (%S*)$')
  local age = now - tonumber(seen)
  if age > tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[4], readers[i])
  elseif log == ARGV[1] then
    if age <= tonumber(ARGV[2]) then
      heard, limit = true, math.min(limit, tonumber(sequence))
    end
    if key ~= '' then limit = math.min(limit, tonumber(redis.call('HGET', KEYS[5], key) or '0')) end
  end
end
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
if not heard or not first then return 0 end
limit = math.min(limit, tonumber(string.match(first[1], '^%d+')) + tonumber(ARGV[4]) - 1)
local removed = redis.call('XTRIM', KEYS[2], 'MINID', string.format('%.0f-0', limit + 1))
if removed > 0 then
  redis.call('HSET', KEYS[6], 'mark', string.format('%.0f', limit))
  redis.call('HINCRBY', KEYS[6], 'events', removed)
end
return removed
"""

# KEYS: the answer's. ARGV: value, seconds to live.
KEEP_RESPONSE = """
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'EX', ARGV[2]) then
    redis.call('ZADD', KEYS[2], ARGV[4], ARGV[3])
    redis.call('EXPIRE', KEYS[2], ARGV[2])
end
"""

# KEYS: the answer's. Returns how many were removed.
FORGET_RESPONSE = "return redis.call('DEL', KEYS[1])"

# KEYS: the lease. ARGV: holder, milliseconds. Returns 1 if it is the holder's now.
CLAIM = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

# KEYS: the gateways, then one bucket a name. ARGV: gateway, seconds that one counts without a word, seconds that a bucket is kept,
# then (per minute, used) per name. Returns how many gateways there are, then what is left, as text. By the server's clock.
DRAW = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
local function exact(value) return string.format('%.17g', value) end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', exact(now - ARGV[2]))
redis.call('ZADD', KEYS[1], exact(now), ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[3])
local results = {redis.call('ZCARD', KEYS[1])}
for i = 2, #KEYS do
  local per_minute, left = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i])
  local known = redis.call('HMGET', KEYS[i], 'left', 'at')
  if known[1] then
    left = math.min(per_minute, known[1] + math.max(0, now - known[2]) * per_minute / 60)
  end
  left = left - ARGV[2 * i + 1]
  redis.call('HSET', KEYS[i], 'left', exact(left), 'at', exact(now))
  redis.call('EXPIRE', KEYS[i], ARGV[3])
  results[i] = exact(left)
end
return results
"""

# KEYS: the log's name, the stream of the outbox, the latest event that the archive has. ARGV: the name and the event that they must
# be, the stream's first entry that must be there ('' for none), what comes after the last that is done, the event that is done.
DONE = """
local first = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)[1]
if redis.call('GET', KEYS[1]) ~= ARGV[1] or (redis.call('GET', KEYS[3]) or '0') ~= ARGV[2] then return 0 end
if ARGV[3] ~= '' then
  if not first or first[1] ~= ARGV[3] then return 0 end
  redis.call('XTRIM', KEYS[2], 'MINID', ARGV[4])
end
redis.call('SET', KEYS[3], ARGV[5])
return 1
"""

# KEYS: events, sequence, then the keys of the commands. ARGV: the number of events, then (event, context) per event, then
# the commands, each as its number of words and the words; the second word is the place of the command's key in KEYS.
RESTORE = (
    _EMIT
    + """
local at = 2 + 2 * tonumber(ARGV[1])
for event = 2, at - 2, 2 do emit(ARGV[event], ARGV[event + 1]) end
while at <= #ARGV do
  local words = tonumber(ARGV[at])
  redis.call(ARGV[at + 1], KEYS[tonumber(ARGV[at + 2])], unpack(ARGV, at + 3, at + words))
  at = at + words + 1
end
"""
)
