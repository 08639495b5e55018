"""Two histories of a product that end in the same spec end in the same state: the whole operator."""

from __future__ import annotations

import pytest

from tests.support.lives.histories import NAMED, WORSE, Ending, ending


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("last", ["a", "b", WORSE])
@pytest.mark.slow
def test_what_comes_before_the_last_edit_of_a_spec_changes_nothing_of_the_end(seed, last):
    """Edits, reverts, suspensions, mistakes, names that are taken and restarts are drawn."""
    found = ending(seed, last=last)
    if last == WORSE:
        assert (found.model, found.outcome, found.stalled) == (
            NAMED[WORSE],
            "RolledBack",
            "ModelRejected",
        )
        assert found.stable != NAMED[WORSE]
    else:
        named = NAMED[last]
        assert found == Ending(named, named, "Promoted", stalled="", under_way=False)
