"""What happens to a log in Redis, each step at once: the Lua scripts.

`KEYS` are the stream, the meta hash and the lease. The stream holds the entries under the ids `1-0`, `2-0`, ...; the
hash the epoch, the number of the last entry, the token of the last leader, the serial of what it wrote last and
whether the log has ended; the lease is that token, for as long as it lasts. Any of them may be evicted, expire or be
overwritten by a stranger: a log whose parts do not fit together is lost. Nobody writes on in it, and whoever leads
next begins it anew, with another epoch. A token is at least the time in microseconds, so it grows even where the last
one was forgotten.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RedisScript:
    """A script and the name by which Redis knows it once it has run."""

    text: str
    sha: str = field(init=False)

    def __post_init__(self) -> None:
        """Work out the name, as Redis does."""
        object.__setattr__(self, "sha", hashlib.sha1(self.text.encode(), usedforsecurity=False).hexdigest())


_STATE = """
local stream, meta, lease = KEYS[1], KEYS[2], KEYS[3]

local function tried(...)
  local answer = redis.pcall(...)
  if type(answer) == 'table' and answer.err then return nil end
  return answer
end

local function whole(text)
  local number = tonumber(text)
  if number and number >= 1 and number < 9007199254740992 and number == math.floor(number) then return number end
  return 0
end

local function decimal(number) return string.format('%.0f', number) end

local function state()
  local epoch, last, token, ended = unpack(tried('HMGET', meta, 'epoch', 'number', 'token', 'ended') or {})
  local log = {number = whole(last), token = token, ended = ended == '1', epoch = epoch, length = 0}
  if not epoch and redis.call('EXISTS', stream) == 0 then
    return log
  end
  log.length = tried('XLEN', stream) or 0
  local newest = log.length > 0 and redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)
  if not (epoch and newest and newest[1][1] == decimal(log.number) .. '-0' and log.length <= log.number) then
    return {number = 0, token = token, ended = false, epoch = false, length = 0, lost = true}
  end
  return log
end

local function leads(log, token) return tried('GET', lease) == token and log.token == token end

local function keep(log, milliseconds)
  redis.call('PEXPIRE', meta, milliseconds)
  if log.epoch then redis.call('PEXPIRE', stream, milliseconds) end
end
"""

READ_ENTRIES = RedisScript(
    _STATE
    + """
-- ARGV: epoch (empty: from the oldest), number, count. Gives epoch, number, ended, gap, entries.
local log = state()
if not log.epoch then return {false, 0, 0, 1, {}} end
local after = tonumber(ARGV[2])
local known = ARGV[1] == log.epoch and after >= log.number - log.length and after <= log.number
local from = known and decimal(after + 1) or '-'
local entries = redis.call('XRANGE', stream, from, '+', 'COUNT', ARGV[3])
return {log.epoch, log.number, log.ended and 1 or 0, known and 0 or 1, entries}
"""
)

APPEND_ENTRIES = RedisScript(
    _STATE
    + """
-- ARGV: token, an epoch to begin with, milliseconds to keep, most entries, whether it ends, channel,
-- serial (0: none), entries.
local log = state()
if not leads(log, ARGV[1]) or log.ended or log.lost then
  if log.lost and tried('GET', lease) == ARGV[1] then
    redis.call('DEL', lease)
    redis.call('PUBLISH', ARGV[6], '')
  end
  return 0
end
local serial = tonumber(ARGV[7])
if serial > 0 and serial <= whole(redis.call('HGET', meta, 'serial')) then return 1 end
log.epoch = log.epoch or ARGV[2]
for index = 8, #ARGV do
  log.number = log.number + 1
  redis.call('XADD', stream, 'MAXLEN', '=', ARGV[4], decimal(log.number) .. '-0', 'e', ARGV[index])
end
redis.call('HSET', meta, 'epoch', log.epoch, 'number', decimal(log.number), 'ended', ARGV[5], 'serial', decimal(serial))
keep(log, ARGV[3])
if ARGV[5] == '1' then redis.call('DEL', lease) end
redis.call('PUBLISH', ARGV[6], '')
return 1
"""
)

ACQUIRE_LEASE = RedisScript(
    _STATE
    + """
-- ARGV: milliseconds of the lease, milliseconds to keep, whether to preempt. Gives the token.
local log = state()
if log.ended or (ARGV[3] == '0' and log.token and leads(log, log.token)) then return false end
if log.lost or not log.token then redis.call('DEL', meta) end
if log.lost then redis.call('DEL', stream) end
local now = redis.call('TIME')
local token = decimal(math.max(now[1] * 1000000 + now[2], whole(log.token) + 1))
redis.call('HSET', meta, 'token', token, 'serial', '0')
keep(log, ARGV[2])
redis.call('SET', lease, token, 'PX', ARGV[1])
return token
"""
)

RENEW_LEASE = RedisScript(
    _STATE
    + """
-- ARGV: token, milliseconds of the lease, milliseconds to keep.
local log = state()
if not leads(log, ARGV[1]) or log.ended or log.lost then return 0 end
redis.call('PEXPIRE', lease, ARGV[2])
keep(log, ARGV[3])
return 1
"""
)

RELEASE_LEASE = RedisScript(
    _STATE
    + """
-- ARGV: token, channel.
if tried('GET', lease) ~= ARGV[1] then return 0 end
redis.call('DEL', lease)
redis.call('PUBLISH', ARGV[2], '')
return 1
"""
)

DISCARD_LOG = RedisScript(
    _STATE
    + """
-- ARGV: epoch, channel.
if tried('HGET', meta, 'epoch') ~= ARGV[1] then return 0 end
redis.call('DEL', stream, lease)
redis.call('HDEL', meta, 'epoch', 'number', 'ended')
redis.call('PUBLISH', ARGV[2], '')
return 1
"""
)
