"""What a steady state is measured by."""

from __future__ import annotations

import pytest

from benchmarks.scenarios.steady import per_whole_block


@pytest.mark.parametrize(
    ("queries", "per_block"),
    [
        ({60.0: 3, 120.0: 8, 180.0: 8, 240.0: 5}, 8),
        ({120.0: 8, 60.0: 1, 180.0: 10, 240.0: 8}, 9),
        ({60.0: 8, 120.0: 8}, None),
        ({}, None),
    ],
    ids=["parts of two blocks", "in no order", "no whole block", "no block"],
)
def test_a_block_read_at_an_edge_of_the_period_is_not_counted(queries, per_block):
    assert per_whole_block(queries) == per_block
