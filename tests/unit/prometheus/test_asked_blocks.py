"""Which blocks are asked for, how many at a time, and again after which failure: as numbers.

The numbers are those of the documentation; newest is block 4,807, or 12,018 of the canary's.
"""

from __future__ import annotations

import pytest

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn
from sluicegate.api.slos import Indicator
from sluicegate.prometheus.block_reader import BlockReader, EvaluationSettings, Length
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.targets import ProductKey, Target
from sluicegate.prometheus.timing import Timing
from tests.support.prometheus.fetching import evaluating
from tests.support.prometheus.measured_world import World

NEWEST = 4807
NOW = 300.0 * NEWEST + 60
AT_REST, CANARY = Length(300, canary=False), Length(120, canary=True)


def target(number: int = 0, **changes) -> Target:
    slos = {"availability": Indicator(availability={})}
    key = ProductKey("catalog", f"p{number}")
    return Target(**{"key": key, "versions": ("v1",), "slos": slos} | changes)


class Asked:
    """A reader, and what it asks Prometheus for."""

    def __init__(self, server: PrometheusStandIn, reader: BlockReader) -> None:
        self.server, self.reader = server, reader

    def blocks(self) -> list[tuple[int, int, int]]:
        """Return length, first and last block of each query about failures since the last call."""
        found = [
            tuple(int(form[name]) for name in ("step", "start", "end"))
            for form in self.server.forms
            if '=~"[45].."' in form["query"]
        ]
        self.server.forms.clear()
        return [(step, start // step, end // step) for step, start, end in found]

    async def fetch(
        self, length: Length, now: float, *targets: Target
    ) -> list[tuple[int, int, int]]:
        """Return the requested blocks of one length."""
        group = self.reader.regroup(targets)[length]
        async for _ in self.reader.fetch_blocks(length, group, now):
            pass
        return self.blocks()

    async def backfill(self, *targets: Target, now: float = NOW) -> tuple[int, list]:
        """Return the number of products read, and the requested blocks."""
        self.reader.regroup(targets)
        read = [len(past.targets) async for past in self.reader.backfill(targets, now)]
        return sum(read), self.blocks()


@pytest.fixture
async def asked():
    async with PrometheusStandIn(World([])) as server, evaluating(server) as reader:
        yield Asked(server, reader)


async def test_an_idle_product_reads_its_newest_block_and_the_one_before_again(asked):
    assert await asked.fetch(AT_REST, NOW, target()) == [(300, NEWEST - 1, NEWEST)]
    assert await asked.fetch(AT_REST, NOW + 299, target()) == []
    assert await asked.fetch(AT_REST, NOW + 300, target()) == [(300, NEWEST, NEWEST + 1)]
    assert await asked.fetch(AT_REST, NOW + 900, target()) == [(300, NEWEST + 1, NEWEST + 3)]
    assert await asked.fetch(AT_REST, NOW + 300 * 80, target()) == [(300, NEWEST + 9, NEWEST + 80)]
    assert await asked.fetch(AT_REST, NOW, target()) == [(300, NEWEST - 1, NEWEST)], "set back"
    asked.reader.forget()
    assert await asked.fetch(AT_REST, NOW, target()) == [(300, NEWEST - 1, NEWEST)]


@pytest.mark.parametrize(("others", "named"), [(1, False), (2, True)])
async def test_a_query_names_its_products_if_they_are_fewer_than_half(asked, others, named):
    rest = [target(number + 1, block_seconds=600) for number in range(others)]
    await asked.fetch(AT_REST, NOW, target(), *rest)  # forgets what was asked
    group = asked.reader.regroup([target(), *rest])[AT_REST]
    async for _ in asked.reader.fetch_blocks(AT_REST, group, NOW + 300):
        pass
    assert {'product="p0"' in form["query"] for form in asked.server.forms} == {named}


async def test_the_first_block_has_the_number_one(asked):
    assert await asked.fetch(AT_REST, 360.0, target()) == [(300, 1, 1)]
    assert await asked.backfill(target(), now=300 * 13 + 60.0) == (1, [(300, 1, 13), (3600, 1, 1)])


async def test_a_failed_query_is_read_again_from_its_first_unread_block(asked):
    asked.server.lies["requests"] = Lie.ERROR_503
    assert await asked.fetch(AT_REST, NOW, target()) == [(300, NEWEST - 1, NEWEST)]
    assert await asked.fetch(AT_REST, NOW + 300, target()) == [(300, NEWEST - 1, NEWEST + 1)]
    asked.server.lies.clear()
    assert await asked.fetch(AT_REST, NOW + 300, target()) == [(300, NEWEST - 1, NEWEST + 1)]
    assert await asked.fetch(AT_REST, NOW + 600, target()) == [(300, NEWEST + 1, NEWEST + 2)]


async def test_a_backfill_reads_72_blocks_and_336_hours_of_ten_products_at_a_time(asked):
    each = [(300, NEWEST - 71, NEWEST), (3600, 65, 400)]
    assert await asked.backfill(target()) == (1, each)
    assert await asked.backfill(target(canary_from=int(NOW) - 900)) == (1, each), "at rest alone"
    many = [target(number) for number in range(100)]
    read, blocks = await asked.backfill(*many)
    assert read == 100
    assert sorted(blocks) == sorted(each * 10)


@pytest.mark.parametrize("step", ["300", "3600"])
async def test_a_backfill_without_all_blocks_or_hours_is_incomplete(asked, step):
    asked.server.fault = lambda _, form: Lie.ERROR_503 if form["step"] == step else None
    assert (await asked.backfill(target()))[0] == 0


async def test_a_backfill_ends_with_the_third_chunk_that_fails_and_begins_with_the_others(asked):
    many = [target(number) for number in range(50)]
    asked.server.lies["requests"] = Lie.ERROR_503
    read, blocks = await asked.backfill(*many)
    assert (read, len(blocks)) == (0, 6)
    asked.server.lies["targets"] = Lie.ERROR_503
    assert await asked.backfill(*many) == (0, [])
    assert asked.server.queries["targets"] == 6 + 2 * 2, "each of two is sent once more"
    asked.server.lies.clear()
    read, blocks = await asked.backfill(*many)
    assert (read, len(blocks)) == (50, 10)


async def test_a_canary_is_read_from_its_first_block_in_queries_of_ten_thousand_blocks(asked):
    newest = int(NOW - 60) // 120
    begun = target(canary_from=120 * (newest - 30))
    assert await asked.fetch(CANARY, NOW, begun) == [(120, newest - 30, newest)]
    assert await asked.fetch(CANARY, NOW + 120, begun) == [(120, newest, newest + 1)]
    long = [target(1, canary_from=0), begun]
    assert await asked.fetch(CANARY, NOW + 120, *long) == [
        (120, newest + 1 - 9_999, newest + 1), (120, 1, newest + 1 - 10_000),
    ]  # fmt: skip
    assert await asked.fetch(CANARY, NOW + 240, *long) == [(120, newest + 1, newest + 2)]
    late = NOW + 120 * 60_000
    assert await asked.fetch(CANARY, late, target(2, canary_from=0)) == [
        (120, newest + 60_000 - 10_000 * number - 9_999, newest + 60_000 - 10_000 * number)
        for number in range(5)
    ]


async def test_a_canary_with_a_future_start_reads_its_newest_block_only(asked):
    newest = int(NOW - 60) // 120
    begun = target(canary_from=int(NOW) + 9_000)
    assert await asked.fetch(CANARY, NOW, begun) == [(120, newest, newest)]


async def test_starting_canaries_are_read_ten_at_a_time_and_failed_ones_last(asked):
    newest = int(NOW - 60) // 120
    many = [target(number, canary_from=120 * (newest - 5)) for number in range(30)]
    assert await asked.fetch(CANARY, NOW, *many) == [(120, newest - 5, newest)] * 3
    more = [target(number, canary_from=120 * (newest - 5)) for number in range(30, 60)]
    asked.server.lies["targets"] = Lie.ERROR_503
    assert await asked.fetch(CANARY, NOW, *many, *more) == []
    asked.server.lies.clear()
    assert await asked.fetch(CANARY, NOW, *many, *more) == [(120, newest - 5, newest)] * 3


@pytest.mark.parametrize(
    ("settle", "seconds", "now", "newest", "settled"),
    [
        (30.0, 300, 3059.9, 9, 3060.0),
        (30.0, 300, 3060.0, 10, 3360.0),
        (30.0, 5, 135.0, 20, 140.0),  # never more than a block
        (0.0, 60, 630.0, 10, 690.0),
    ],
)
def test_a_block_is_complete_one_scrape_and_one_delay_after_its_end(
    settle, seconds, now, newest, settled
):
    timing = Timing(settle_seconds=settle)
    assert timing.newest_complete(now, seconds) == newest
    assert timing.complete_at(newest + 1, seconds) == settled
    assert Timing() == Timing(scrape_seconds=30.0, settle_seconds=30.0)


def test_the_settings_of_an_evaluation_have_the_documented_defaults():
    settings = EvaluationSettings()
    assert (settings.products_per_query, settings.products_per_backfill) == (5_000, 10)
    assert (settings.fetch_seconds, settings.jitter_seconds) == (60.0, 1.0)
    endpoint = Endpoint(url="http://x")
    assert (endpoint.timeout_seconds, endpoint.connect_seconds) == (20.0, 3.0)
    assert (endpoint.concurrency, endpoint.max_answer_bytes) == (4, 2**27)
