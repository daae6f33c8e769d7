"""The cost of an operation: the counts and the time spans of its calls."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.contract.cost import Cost, Span, covered_seconds, longest_chain

SPANS = st.lists(
    st.tuples(st.integers(0, 20), st.integers(0, 5)).map(lambda drawn: Span(drawn[0], sum(drawn))), max_size=8
)


@pytest.mark.parametrize(
    ("spans", "chain", "seconds"),
    [
        ([], 0, 0),
        ([Span(1, 3)], 1, 2),
        ([Span(0, 2), Span(0, 2), Span(1, 3)], 1, 3),
        ([Span(0, 2), Span(2, 3), Span(5, 6)], 3, 4),
        ([Span(0, 9), Span(1, 2), Span(3, 4)], 2, 9),
        ([Span(3, 4), Span(0, 1)], 2, 2),
    ],
)
def test_each_call_of_a_chain_starts_after_the_previous_one_has_ended(
    spans: list[Span], chain: int, seconds: float
) -> None:
    assert longest_chain(spans) == chain
    assert covered_seconds(spans) == seconds


@given(SPANS)
def test_there_is_no_chain_longer_than_the_longest(spans: list[Span]) -> None:
    def is_chain(chosen: tuple[Span, ...]) -> bool:
        ordered = sorted(chosen, key=lambda span: (span.ended, span.started))
        return all(one.ended <= next_.started for one, next_ in pairwise(ordered))

    chains = (len(some) for size in range(len(spans) + 1) for some in combinations(spans, size) if is_chain(some))
    assert longest_chain(spans) == max(chains)


@given(SPANS)
def test_overlapping_time_is_counted_once(spans: list[Span]) -> None:
    seconds = {second for span in spans for second in range(int(span.started), int(span.ended))}
    assert covered_seconds(spans) == len(seconds)


async def test_a_call_is_counted_when_it_starts_and_recorded_when_it_ends_or_fails() -> None:
    now = iter([1.0, 1.25, 2.0, 2.5])
    cost = Cost(clock=lambda: next(now))
    async with cost.measure_call():
        assert (cost.upstream_calls, cost.spans) == (1, [])
    with pytest.raises(KeyError):
        async with cost.measure_call():
            raise KeyError
    assert cost.spans == [Span(1.0, 1.25), Span(2.0, 2.5)]
    assert cost.to_extension(predicted_calls=7, predicted_objects=9, shown_objects=8, response_bytes=300) == {
        "upstreamCalls": 2,
        "cacheHits": 0,
        "sharedCalls": 0,
        "upstreamMilliseconds": 750.0,
        "longestChain": 2,
        "predictedCalls": 7,
        "predictedObjects": 9,
        "shownObjects": 8,
        "responseBytes": 300,
    }
