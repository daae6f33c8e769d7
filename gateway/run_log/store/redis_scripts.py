"""The Lua scripts: each operation on a log in Redis is one atomic step.

`KEYS` are the stream, the meta hash and the lease. The stream holds the entries under the ids `1-0`, `2-0`, ... The
hash holds the epoch, the number of the last entry, the token of the last lease, the serial of the last append under it
and whether the log has ended. The lease key holds the token, as long as the lease lasts.

Any of these keys may be evicted, expire or be overwritten by a foreign client. A log whose keys do not fit together is
lost: no writer continues it, and the next holder of the lease starts it again with another epoch. A token is at least
the time in microseconds, so tokens grow even if the last one was lost.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RedisScript:
    """A script, and the SHA-1 by which Redis knows it once it has run."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        """Compute the SHA-1 as Redis does."""
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


_STATE = """
local stream, meta, lease = KEYS[1], KEYS[2], KEYS[3]

-- A call whose error, such as a key of another type, counts as a missing value.
local function try_call(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then return nil end
  return answer
end

local function to_integer(text)
  local number = tonumber(text)
  if number and number >= 1 and number < 9007199254740992 and number == math.floor(number) then return number end
  return 0
end

local function to_decimal(number) return string.format('%.0f', number) end

local function read_state()
  local epoch, last, token, ended = unpack(try_call('HMGET', meta, 'epoch', 'number', 'token', 'ended') or {})
  local log = {number = to_integer(last), token = token, ended = ended == '1', epoch = epoch, length = 0}
  if not epoch and redis.call('EXISTS', stream) == 0 then
    return log
  end
  log.length = try_call('XLEN', stream) or 0
  local newest = log.length > 0 and redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  if not (epoch and newest and newest[1][1] == to_decimal(log.number) .. '-0' and log.length <= log.number) then
    return {number = 0, token = token, ended = false, epoch = false, length = 0, lost = true}
  end
  return log
end

local function holds_lease(log, token) return try_call('GET', lease) == token and log.token == token end

local function extend_expiry(log, milliseconds)
  redis.call('PEXPIRE', meta, milliseconds)
  if log.epoch then redis.call('PEXPIRE', stream, milliseconds) end
end
"""

READ_ENTRIES = RedisScript(
    _STATE
    + """
-- ARGV: epoch (empty: from the oldest), number, count. Returns epoch, number, ended, gap, entries.
local log = read_state()
if not log.epoch then return {false, 0, 0, 1, {}} end
local after = tonumber(ARGV[2])
local known = ARGV[1] == log.epoch and after >= log.number - log.length and after <= log.number
local from = known and to_decimal(after + 1) or '-'
local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', ARGV[3])
return {log.epoch, log.number, log.ended and 1 or 0, known and 0 or 1, entries}
"""
)

APPEND_ENTRIES = RedisScript(
    _STATE
    + """
-- ARGV: token, the epoch of a new log, milliseconds of retention, maximum entries, whether it ends, channel,
-- serial (0: none), entries.
local log = read_state()
if not holds_lease(log, ARGV[1]) or log.ended or log.lost then
  if log.lost and try_call('GET', lease) == ARGV[1] then
    redis.call('DEL', lease)
    redis.call('PUBLISH', ARGV[6], '')
  end
  return 0
end
local serial = tonumber(ARGV[7])
if serial > 0 and serial <= to_integer(redis.call('HGET', meta, 'serial')) then return 1 end
log.epoch = log.epoch or ARGV[2]
for index = 8, #ARGV do
  log.number = log.number + 1
  redis.call('XADD', stream, 'MAXLEN', '=', ARGV[4], to_decimal(log.number) .. '-0', 'e', ARGV[index])
end
redis.call('HSET', meta, 'epoch', log.epoch, 'number', to_decimal(log.number), 'ended', ARGV[5],
  'serial', to_decimal(serial))
extend_expiry(log, ARGV[3])
if ARGV[5] == '1' then redis.call('DEL', lease) end
redis.call('PUBLISH', ARGV[6], '')
return 1
"""
)

PUBLISH_ENTRIES = RedisScript(
    _STATE
    + """
-- ARGV: the epoch of a new log, milliseconds of retention, maximum entries, channel, entries.
local log = read_state()
if log.lost then redis.call('DEL', meta, stream) end
log.epoch = log.epoch or ARGV[1]
for index = 5, #ARGV do
  log.number = log.number + 1
  redis.call('XADD', stream, 'MAXLEN', '=', ARGV[3], to_decimal(log.number) .. '-0', 'e', ARGV[index])
end
redis.call('HSET', meta, 'epoch', log.epoch, 'number', to_decimal(log.number))
extend_expiry(log, ARGV[2])
redis.call('PUBLISH', ARGV[4], '')
return 1
"""
)

ACQUIRE_LEASE = RedisScript(
    _STATE
    + """
-- ARGV: milliseconds of the lease, milliseconds of retention, whether to preempt. Returns the token.
local log = read_state()
if log.ended or (ARGV[3] == '0' and log.token and holds_lease(log, log.token)) then return false end
if log.lost or not log.token then redis.call('DEL', meta) end
if log.lost then redis.call('DEL', stream) end
local now = redis.call('TIME')
local token = to_decimal(math.max(now[1] * 1000000 + now[2], to_integer(log.token) + 1))
redis.call('HSET', meta, 'token', token, 'serial', '0')
extend_expiry(log, ARGV[2])
redis.call('SET', lease, token, 'PX', ARGV[1])
return token
"""
)

RENEW_LEASE = RedisScript(
    _STATE
    + """
-- ARGV: token, milliseconds of the lease, milliseconds of retention.
local log = read_state()
if not holds_lease(log, ARGV[1]) or log.ended or log.lost then return 0 end
redis.call('PEXPIRE', lease, ARGV[2])
extend_expiry(log, ARGV[3])
return 1
"""
)

RELEASE_LEASE = RedisScript(
    _STATE
    + """
-- ARGV: token, channel.
if try_call('GET', lease) ~= ARGV[1] then return 0 end
redis.call('DEL', lease)
redis.call('PUBLISH', ARGV[2], '')
return 1
"""
)

DISCARD_LOG = RedisScript(
    _STATE
    + """
-- ARGV: epoch, channel.
if try_call('HGET', meta, 'epoch') ~= ARGV[1] then return 0 end
redis.call('DEL', stream, lease)
redis.call('HDEL', meta, 'epoch', 'number', 'ended')
redis.call('PUBLISH', ARGV[2], '')
return 1
"""
)
