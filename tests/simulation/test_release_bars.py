"""How often a consumer is retrained on an upstream's release, and how late beside one it is for its own decay.

Lives by counts alone; `KIND=releases COUNT=2000 make fuzz` lives more, and `KIND=upstreams make fuzz` those
of the whole operator.
"""

from __future__ import annotations

import os
from typing import Final

import pytest

from tests.support.lives.counted_releases import draw_counted
from tests.support.lives.rates import Rates

pytestmark = [pytest.mark.heavy, pytest.mark.grid, pytest.mark.timeout(3600)]
LIVES: Final = int(os.environ.get("RELEASE_LIVES", "200"))


def test_no_consumer_is_retrained_on_an_upstreams_release_and_its_own_decay_is_not_much_later():
    rates = Rates()
    for seed in range(1, LIVES + 1):
        rates.add(draw_counted(seed).live().judged)
    print(rates)
    assert rates.broken() == []
    assert rates.counts["retrained on an upstream's release"][1] >= LIVES // 4
