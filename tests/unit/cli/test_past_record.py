"""A record of a product's past: what is in it, and what it says isn't."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from benchmarks.prometheus_stand_in import Lie, PrometheusStandIn, Row, RowSource, patience
from sluicegate.api.base import rfc3339
from sluicegate.api.product import DataProduct
from sluicegate.cli.trials import past_record
from sluicegate.cli.trials.past_record import record
from sluicegate.errors import InvalidInput
from sluicegate.measurement.store import target_of
from sluicegate.prometheus.client import Prometheus
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.errors import PrometheusError
from sluicegate.prometheus.past_blocks import Era, PastReader
from sluicegate.prometheus.timing import Timing
from sluicegate.simulation.replay_scenario import parse_scenario
from tests.support.decisions.scenarios import ACCURACY, AVAILABILITY, product
from tests.support.prometheus.measured_world import ProductBlocks, World

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK, NEWEST = 300, 6_000_000
NOW = (NEWEST + 0.5) * BLOCK
DAY_AGO = (NEWEST - 288) * BLOCK
OLD, NEW = "a" * 10, "b" * 10


def version(name: str, revision: str, **more: Any) -> dict[str, Any]:
    return {
        "version": name,
        "image": f"registry.example/m@sha256:{revision}",
        "runtimeImage": "",
        "revision": revision,
        "source": "Spec",
        **more,
    }


STABLE = {"stable": version("v1", OLD, promotionTime=rfc3339(DAY_AGO - 864_000))}


def body(*slos: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {**product(*slos), "status": status or STABLE}


def measured(name: str, revision: str, **more: Any) -> ProductBlocks:
    return ProductBlocks(product="search", version=f"{name}/{revision}", **more)


class Rows:
    """The rows of a world whose versions are scraped with their revisions."""

    def __init__(self, *versions: ProductBlocks) -> None:
        self.world = World(list(versions))

    def __call__(self, kind: str, indexes: range, step: int) -> Iterator[Row]:
        for one in self.world(kind, indexes, step):
            for label in ("version", "prediction_version"):
                if label in one["metric"]:
                    name, _, revision = one["metric"][label].partition("/")
                    one["metric"][label] = name
                    one["metric"][label.replace("version", "revision")] = revision
            yield one


async def recorded(
    document: dict[str, Any],
    rows: RowSource,
    *,
    days: float = 0.5,
    lies: dict[str, Lie] | None = None,
    scrape_seconds: float = 30,
) -> tuple[list[str], dict[str, Any]]:
    """The notes of a record, and its file."""
    async with PrometheusStandIn(rows, lies or {}) as server:
        seconds = patience(*server.lies.values())
        async with Prometheus(Endpoint(url=server.url, timeout_seconds=seconds)) as prometheus:
            reader = PastReader(prometheus, Timing(scrape_seconds=scrape_seconds))
            made, lines = await record(
                DataProduct.parse(document), document, reader, days=days, now=NOW
            )
    file = yaml.load("\n".join(lines), yaml.CSafeLoader)
    parse_scenario(file)
    return made.notes[:-1], file


async def test_a_record_has_the_blocks_and_the_stable_version_of_its_days():
    notes, file = await recorded(body(), Rows(measured("v1", OLD, bad=2)))

    assert notes == []
    assert file["version"] == "v1"
    assert file["promotionTime"] == DAY_AGO - 864_000
    ends = [block["at"] for block in file["blocks"]]
    assert ends == [index * BLOCK for index in range(NEWEST - 143, NEWEST + 1)]
    assert file["blocks"][-1]["counts"] == {
        "v1": {
            "clientErrors": {"bad": 0, "total": 100},
            "availability": {"bad": 2, "total": 100},
            "accuracy": {"bad": 5, "total": 50},
        }
    }
    assert "status" not in file["product"]


async def test_a_record_has_canary_blocks_from_one_hour_before_a_rollout():
    first = (NEWEST - 60) * BLOCK
    status = {**STABLE, "candidate": version("v2", NEW, phase="Stepping", startTime=rfc3339(first))}
    arriving = measured("v2", NEW, requests=10, correct=0, wrong=0)
    rows = Rows(measured("v1", OLD), arriving)
    rows.world.scrape_seconds = 15

    def since(kind: str, indexes: range, step: int) -> Iterator[Row]:
        arriving.only = partial(int.__lt__, first // step)
        return rows(kind, indexes, step)

    _, file = await recorded(body(**status), since, scrape_seconds=15)
    begin, newest = (NEWEST - 143) * BLOCK, NEWEST * BLOCK

    assert file["events"] == [{"at": first, "modelChanged": {"version": "v2"}}]
    assert [block["at"] for block in file["blocks"]] == [
        *range(begin, first - 3600 + 1, BLOCK), *range(first - 3600 + 60, newest + 1, 60),
    ]  # fmt: skip


async def test_a_record_reads_each_block_once_over_successive_versions():
    timing, indexes = Timing(scrape_seconds=30), range(NEWEST - 11, NEWEST + 1)
    target = target_of(DataProduct.parse(body()), timing)
    assert target is not None
    eras = [Era(target, (NEWEST - 5) * BLOCK), Era(target, NEWEST * BLOCK)]
    async with (
        PrometheusStandIn(Rows(measured("v1", OLD)), {}) as server,
        Prometheus(Endpoint(url=server.url, timeout_seconds=patience())) as prometheus,
    ):
        past = await PastReader(prometheus, timing).read(eras, indexes, BLOCK)
    assert past.blocks
    for blocks in past.blocks.values():
        assert [block.index for block in blocks] == list(indexes)


async def test_a_query_that_prometheus_refuses_is_recorded_as_unavailable_with_a_note():
    notes, file = await recorded(
        body(), Rows(measured("v1", OLD)), lies={"labelled": Lie.ERROR_500}
    )

    (note,) = [note for note in notes if "labelled" in note]
    assert note.startswith("Prometheus didn't answer all of it: labelled")
    assert file["blocks"][0]["counts"]["v1"]["accuracy"] == "Unavailable"
    assert file["blocks"][0]["counts"]["v1"]["availability"] == {"bad": 0, "total": 100}


async def test_a_record_without_scrape_targets_is_refused():
    with pytest.raises(PrometheusError):
        await recorded(body(), Rows(measured("v1", OLD)), lies={"targets": Lie.ERROR_500})


async def test_a_recorded_block_with_low_coverage_is_marked():
    _, file = await recorded(body(), Rows(measured("v1", OLD, coverage=0.5)))

    assert file["blocks"][0]["coverage"] == "0"


async def test_a_recorded_history_lists_the_data_that_it_omits():
    gauge = {
        "name": "basket",
        "indicator": {"gauge": {"metric": "basket", "direction": "HigherIsBetter"}},
        "maxDrop": "3",
    }
    clicks = {"name": "clicks", "indicator": {"events": {}}, "objective": "0.5"}
    hidden = measured("v1", OLD, only=lambda index: index > NEWEST - 24)

    notes, _ = await recorded(body(AVAILABILITY, gauge, clicks), Rows(hidden))

    assert notes == [
        "Gauges have no counts and are left out: basket.",
        "No block has series of: clicks.",
        "The first 10.0 h have no series: Prometheus keeps less.",
    ]


async def test_a_record_notes_a_block_that_prometheus_no_longer_has():
    hidden = measured("v1", OLD, only=lambda index: index > NEWEST - 143)
    notes, _ = await recorded(body(), Rows(hidden))
    assert notes == ["The first 0.1 h have no series: Prometheus keeps less."]


async def test_the_length_of_a_record_is_bounded(monkeypatch: pytest.MonkeyPatch):
    assert past_record.MAX_BLOCKS == 25_000
    monkeypatch.setattr(past_record, "MAX_BLOCKS", 36)

    notes, file = await recorded(body(), Rows(measured("v1", OLD)), days=14)

    assert len(file["blocks"]) == 36
    assert notes == ["Only the last 0.1 days are in it: a record has at most 36 blocks."]


async def test_two_revisions_of_a_version_are_separate_in_a_record():
    status = {
        "stable": version("v1", NEW, promotionTime=rfc3339(DAY_AGO)),
        "history": [
            version(
                "v1",
                OLD,
                promotionTime=rfc3339(DAY_AGO - 9000),
                endTime=rfc3339(DAY_AGO),
                outcome="Replaced",
            )
        ],
    }

    _, file = await recorded(body(**status), Rows(measured("v1", OLD), measured("v1", NEW)), days=2)

    assert file["version"] == f"v1/{OLD}"
    assert file["blocks"][0]["at"] == DAY_AGO - 9000 + BLOCK
    assert file["events"][0]["modelChanged"] == {"version": f"v1/{NEW}"}


async def test_a_record_includes_a_version_whose_last_block_is_its_first():
    changed = DAY_AGO + BLOCK
    status = {
        "stable": version("v1", NEW, promotionTime=rfc3339(changed)),
        "history": [
            version(
                "v1", OLD, promotionTime=rfc3339(DAY_AGO - 9000), endTime=rfc3339(changed),
                outcome="Replaced",
            )
        ],
    }  # fmt: skip
    rows = Rows(measured("v1", OLD), measured("v1", NEW))
    _, file = await recorded(body(**status), rows, days=1)
    assert (file["version"], file["blocks"][0]["at"]) == (f"v1/{OLD}", changed)


async def test_a_record_has_requests_and_pods_only_for_slos_that_use_them():
    _, file = await recorded(body(ACCURACY), Rows(measured("v1", OLD)))
    assert file["blocks"][-1]["counts"]["v1"].keys() == {"clientErrors", "accuracy"}


async def test_a_record_has_the_baseline_unless_it_was_recorded_within_its_span():
    def baseline(end: int) -> dict[str, Any]:
        times = {"startTime": rfc3339(end - 86_400), "endTime": rfc3339(end)}
        return {"bad": 10, "total": 1000, "source": "Production", **times}

    stable = version(
        "v1", OLD, promotionTime=rfc3339(DAY_AGO - 864_000),
        baseline={
            "availability": baseline((NEWEST - 143) * BLOCK),
            "accuracy": baseline((NEWEST - 143) * BLOCK + 1),
        },
    )  # fmt: skip

    _, file = await recorded(body(stable=stable), Rows(measured("v1", OLD)))

    assert file["baselines"].keys() == {"availability"}


async def test_record_refuses_a_version_younger_than_one_block():
    young = version("v1", OLD, promotionTime=rfc3339(NEWEST * BLOCK))
    with pytest.raises(InvalidInput, match="no block of it is complete yet"):
        await recorded(body(stable=young), Rows())


async def test_record_refuses_a_product_without_a_stable_version():
    with pytest.raises(InvalidInput, match="no version of it is stable yet"):
        await recorded(body(observedGeneration=1), Rows())
