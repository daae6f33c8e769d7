from gateway.run_log.store.event_codec import FINGERPRINT
from gateway.run_log.store.event_log import LogName, new_epoch
from gateway.run_log.store.redis_names import redis_names_from_log
from schema.contract.keys import RunKey, ThreadKey

RUN = LogName("scope", RunKey("thread_1", "run_1"))


def test_the_keys_of_a_log_share_a_hash_tag() -> None:
    for name in (RUN, LogName("s{c}ope", ThreadKey("{a}b")), LogName("\ud800", ThreadKey("a}b"))):
        tags = {key[key.index("{") : key.index("}")] for key in redis_names_from_log(name)}
        assert len(tags) == 1
        assert len(set(redis_names_from_log(name))) == 5


def test_no_two_logs_share_a_key() -> None:
    names = [
        RUN,
        LogName("other", RUN.key),
        LogName("scope", RunKey("thread_1", "run_2")),
        LogName("scope", RunKey("run_1", "thread_1")),
        LogName("scope", RunKey("thread_1/run_1", "")),
        LogName("scope", RunKey("", "thread_1/run_1")),
        LogName("scope", ThreadKey("thread_1")),
        LogName("scope", ThreadKey("thread_1/run_1")),
    ]
    keys = [key for name in names for key in redis_names_from_log(name)]
    assert len(set(keys)) == 5 * len(names)


def test_a_key_names_the_definitions_and_the_run_but_not_the_principal() -> None:
    for key in redis_names_from_log(RUN):
        assert FINGERPRINT.hex() in key
        assert "run/thread_1/run_1}" in key
        assert "scope" not in key


def test_epochs_are_unique() -> None:
    assert len({new_epoch() for _ in range(100)}) == 100


def test_a_run_and_its_thread_have_different_logs() -> None:
    assert LogName("scope", RunKey("thread_1", "run_1")) != LogName("scope", ThreadKey("thread_1"))
