import time
from typing import Any

import pytest

from gateway.run_log.store.redis_scripts import (
    ACQUIRE_LEASE,
    APPEND_ENTRIES,
    DISCARD_LOG,
    READ_ENTRIES,
    RELEASE_LEASE,
    RENEW_LEASE,
    RedisScript,
)
from tests.support.valkey import Valkey

SCRIPTS = [READ_ENTRIES, APPEND_ENTRIES, ACQUIRE_LEASE, RENEW_LEASE, RELEASE_LEASE, DISCARD_LOG]
STREAM, META, LEASE = KEYS = ("{x}stream", "{x}meta", "{x}lease")
FOREVER_MS = 10_000_000


def run(server: Valkey, script: RedisScript, *arguments: Any) -> Any:
    return server.command("EVAL", script.text, 3, *KEYS, *arguments)


def acquire_lease(server: Valkey, *, preempt: int = 0) -> bytes | None:
    token: bytes | None = run(server, ACQUIRE_LEASE, FOREVER_MS, FOREVER_MS, preempt)
    return token


def append(server: Valkey, token: bytes | None, *entries: str, epoch: str = "epoch", ends: int = 0) -> bool:
    assert token is not None
    return bool(run(server, APPEND_ENTRIES, token, epoch, FOREVER_MS, 100, ends, "channel", 0, *entries))


def read(server: Valkey, epoch: str = "", number: int = 0) -> tuple[bytes | None, list[bytes]]:
    found, _, _, _, entries = run(server, READ_ENTRIES, epoch, number, 100)
    return found, [fields[1] for _, fields in entries]


@pytest.mark.parametrize("script", SCRIPTS)
def test_redis_computes_the_same_script_hash(valkey: Valkey, script: RedisScript) -> None:
    assert valkey.command("SCRIPT LOAD", script.text) == script.sha


def test_a_token_is_at_least_the_time_and_more_than_the_last(valkey: Valkey) -> None:
    before = time.time_ns() // 1000
    first = acquire_lease(valkey)
    assert first is not None
    assert before <= int(first) <= time.time_ns() // 1000
    ahead = int(first) + 10**12
    valkey.command("HSET", META, "token", ahead)
    assert acquire_lease(valkey) == str(ahead + 1).encode()


@pytest.mark.parametrize("token", ["junk", "inf", "nan", "-5", "1.5", "1e300", ""])
def test_an_invalid_token_is_replaced(valkey: Valkey, token: str) -> None:
    valkey.command("HSET", META, "token", token)
    fresh = acquire_lease(valkey)
    assert fresh is not None
    assert append(valkey, fresh, "a")


@pytest.mark.parametrize("key", [STREAM, META, LEASE])
@pytest.mark.parametrize(
    "wrong", [("SET", "junk"), ("RPUSH", "junk"), ("HSET", "junk", "junk"), ("XADD", "*", "a", "b")]
)
def test_a_foreign_value_loses_the_log_or_its_lease_and_breaks_nothing(
    valkey: Valkey, key: str, wrong: tuple[str, ...]
) -> None:
    token = acquire_lease(valkey)
    assert append(valkey, token, "a")
    valkey.command("DEL", key)
    valkey.command(wrong[0], key, *wrong[1:])
    assert not append(valkey, token, "b")
    assert run(valkey, RENEW_LEASE, token, FOREVER_MS, FOREVER_MS) == 0
    run(valkey, DISCARD_LOG, "other", "channel")
    assert read(valkey) == ((b"epoch", [b"a"]) if key == LEASE else (None, []))
    run(valkey, RELEASE_LEASE, token, "channel")
    fresh = acquire_lease(valkey)
    assert append(valkey, fresh, "c", epoch="new")
    assert read(valkey) == ((b"epoch", [b"a", b"c"]) if key == LEASE else (b"new", [b"c"]))


@pytest.mark.parametrize("gone", [(STREAM,), (META,), (STREAM, META)])
def test_a_log_with_an_evicted_key_is_restarted(valkey: Valkey, gone: tuple[str, ...]) -> None:
    old = acquire_lease(valkey)
    assert append(valkey, old, "a", "b")
    valkey.command("DEL", *gone)
    assert read(valkey, "epoch", 2) == (None, [])
    assert not append(valkey, old, "c")
    new = acquire_lease(valkey)
    assert old is not None
    assert new is not None
    assert int(new) > int(old)
    assert not append(valkey, old, "c")
    assert append(valkey, new, "d", epoch="new")
    assert read(valkey, "epoch", 2) == (b"new", [b"d"])


def test_a_writer_whose_log_was_lost_releases_its_lease(valkey: Valkey) -> None:
    token = acquire_lease(valkey)
    assert append(valkey, token, "a")
    valkey.command("DEL", STREAM)
    assert not append(valkey, token, "b")
    assert valkey.command("EXISTS", LEASE) == 0


def test_the_lease_of_a_lost_ended_log_can_be_acquired_again(valkey: Valkey) -> None:
    assert append(valkey, acquire_lease(valkey), "a", ends=1)
    assert acquire_lease(valkey, preempt=1) is None
    valkey.command("DEL", META)
    assert acquire_lease(valkey) is not None


def test_foreign_additions_or_deletions_lose_the_log(valkey: Valkey) -> None:
    token = acquire_lease(valkey)
    assert append(valkey, token, "a", "b", "c")
    valkey.command("XADD", STREAM, "9-0", "e", "d")
    assert read(valkey) == (None, [])
    valkey.command("XDEL", STREAM, "9-0")
    assert read(valkey) == (b"epoch", [b"a", b"b", b"c"])
    valkey.command("XDEL", STREAM, "3-0")
    assert read(valkey) == (None, [])
    assert not append(valkey, token, "d")


def test_every_key_has_an_expiry(valkey: Valkey) -> None:
    token = run(valkey, ACQUIRE_LEASE, 5000, 7000, 0)
    assert 0 < valkey.command("PTTL", LEASE) <= 5000
    assert 5000 < valkey.command("PTTL", META) <= 7000
    assert run(valkey, APPEND_ENTRIES, token, "epoch", 9000, 100, 0, "channel", 0, "a") == 1
    for key in (STREAM, META):
        assert 7000 < valkey.command("PTTL", key) <= 9000
    assert run(valkey, RENEW_LEASE, token, 11_000, 13_000) == 1
    assert 9000 < valkey.command("PTTL", LEASE) <= 11_000
    for key in (STREAM, META):
        assert 11_000 < valkey.command("PTTL", key) <= 13_000


def test_only_the_unreadable_epoch_is_discarded(valkey: Valkey) -> None:
    token = acquire_lease(valkey)
    assert append(valkey, token, "a")
    assert run(valkey, DISCARD_LOG, "other", "channel") == 0
    assert read(valkey) == (b"epoch", [b"a"])
    assert run(valkey, DISCARD_LOG, "epoch", "channel") == 1
    assert read(valkey) == (None, [])
    assert not append(valkey, token, "b")
    fresh = acquire_lease(valkey)
    assert fresh is not None
    assert token is not None
    assert int(fresh) > int(token)
