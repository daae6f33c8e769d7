from gateway.cache.cache_lookup import CacheLookup
from gateway.cache.version_store import KnownVersions
from tests.gateway.cache.upstream import THREAD


def test_a_lookup_has_versions_when_those_of_all_its_tags_are_known() -> None:
    lookup = CacheLookup.for_key(THREAD)
    lookup.set_versions(KnownVersions(dict.fromkeys(lookup.tags, "v1")))
    assert (lookup.has_versions, lookup.versions) == (True, dict.fromkeys(lookup.tags, "v1"))
    for known in (KnownVersions({lookup.tags[0]: "v1"}), None):
        lookup.set_versions(known)
        assert (lookup.has_versions, lookup.versions) == (False, {})


def test_two_reads_share_a_flight_only_under_the_same_versions() -> None:
    one, other, later = CacheLookup.for_key(THREAD), CacheLookup.for_key(THREAD), CacheLookup.for_key(THREAD)
    for lookup in (one, other):
        lookup.set_versions(KnownVersions(dict.fromkeys(lookup.tags, "v1")))
    later.set_versions(KnownVersions(dict.fromkeys(later.tags, "v2")))
    assert one.flight_key("ann") == other.flight_key("ann")
    assert one.flight_key("ann") != later.flight_key("ann")
    assert one.flight_key("ann") != one.flight_key("bob")
