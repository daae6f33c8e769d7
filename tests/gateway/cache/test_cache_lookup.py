from gateway.cache.cache_lookup import CacheLookup
from gateway.cache.version_store import KnownVersions
from tests.gateway.cache.upstream import THREAD


def test_a_wish_is_known_when_the_versions_of_all_its_tags_are() -> None:
    wish = CacheLookup.of(THREAD)
    wish.note(KnownVersions(dict.fromkeys(wish.tags, "v1")))
    assert (wish.is_known, wish.versions) == (True, dict.fromkeys(wish.tags, "v1"))
    for known in (KnownVersions({wish.tags[0]: "v1"}), None):
        wish.note(known)
        assert (wish.is_known, wish.versions) == (False, {})


def test_two_reads_are_the_same_call_only_under_the_same_versions() -> None:
    one, other, later = CacheLookup.of(THREAD), CacheLookup.of(THREAD), CacheLookup.of(THREAD)
    for wish in (one, other):
        wish.note(KnownVersions(dict.fromkeys(wish.tags, "v1")))
    later.note(KnownVersions(dict.fromkeys(later.tags, "v2")))
    assert one.flight("ann") == other.flight("ann")
    assert one.flight("ann") != later.flight("ann")
    assert one.flight("ann") != one.flight("bob")
