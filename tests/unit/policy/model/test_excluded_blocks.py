"""How far back evidence reaches over stretches that are left out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.policy.model.excluded_blocks import BlockSpan, back

NOW = 60


@st.composite
def stretches(draw: st.DrawFn) -> tuple[BlockSpan, ...]:
    """Stretches in their order; the last one may go on."""
    edges = sorted(draw(st.sets(st.integers(0, NOW + 5), max_size=6)))
    return tuple(BlockSpan(*pair) for pair in zip(edges[::2], edges[1::2], strict=False))


@given(length=st.integers(0, 30), spans=stretches())
def test_so_many_blocks_that_count_are_gone_back_and_none_further(length, spans):
    def counts(index: int) -> bool:
        return not any(one.after < index <= one.last for one in spans)

    after = back(NOW, length, spans)
    assert sum(map(counts, range(after + 1, NOW + 1))) == length
    assert not length or counts(after + 1)
