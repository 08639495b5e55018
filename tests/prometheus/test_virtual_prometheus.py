"""The Prometheus in memory answers what a real one answers of the same pods.

The story is given twice: as the curves that the one in memory reads, and as the series that
scrapes of the same pods would store, which promtool evaluates. Both are asked the operator's own
queries, and their rows have to be equal.

Pods come, go and change their rates at instants of a scrape, as the one in memory keeps no time
between two of them.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace
from math import floor
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.prometheus_stand_in import recognise
from benchmarks.virtual.prometheus import SCRAPE, PrometheusServer
from benchmarks.virtual.traffic import Counted, Traffic, Version
from sluicegate.slo.promql import Scope
from sluicegate.slo.queries import Needs, QueryKind, render_queries
from tests.support.prometheus.promtool import run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK, GRID, END = 300, 5, 3900
BLOCKS = range(1, END // BLOCK + 1)
NEEDS = Needs(thresholds=frozenset({250, 1000}), labelled=True)
GOOD = {"requests": 4.0, "answered": 4.0, "correct": 2.0}
MIXED = {
    "requests": 8.0, "failed": 0.8, "refused": 1.6, "answered": 5.6,
    "slow": 1.6, "correct": 2.4, "wrong": 0.8,
}  # fmt: skip
"""Whole numbers from scrape to scrape, for each of four pods too."""


@dataclass(frozen=True)
class Spell:
    """So many pods of a version, and what they do together in a second, until the next spell."""

    begin: int
    pods: int
    rates: dict[str, float] = field(default_factory=dict)


Tale = dict[Version, list[Spell]]


def version(name: str, product: str = "search") -> Version:
    return Version("catalog", product, name, f"{name}-1")


CALM: Tale = {
    version("v1"): [Spell(0, 2, GOOD), Spell(1230, 2, MIXED), Spell(2400, 4, MIXED)],
    version("idle", "vans"): [Spell(0, 1)],
    # Born and gone in the middle of a block.
    version("v2"): [Spell(1005, 1, MIXED), Spell(1845, 0)],
    # Its first failures come long after its pods.
    version("v3"): [Spell(900, 1, GOOD), Spell(1320, 1, MIXED), Spell(2700, 0)],
    # It gets no request before its second block.
    version("v4"): [Spell(600, 2), Spell(960, 2, GOOD)],
}


def earlier(tale: Tale, seconds: int) -> Tale:
    """Return the same tale, some seconds earlier."""
    return {
        one: [replace(spell, begin=max(0, spell.begin - seconds)) for spell in spells]
        for one, spells in tale.items()
    }


def traffic_of(tale: Tale) -> Traffic:
    """Return the curves of the tale."""
    told = Traffic()
    for one, spells in tale.items():
        counted = told.versions[one] = Counted("Search", throttled=0.25, memory=0.5)
        for spell in spells:
            counted.set_rates(spell.begin, spell.pods, spell.rates)
    return told


@dataclass
class Scraped:
    """What scrapes store of the tale, each `phase` seconds before a multiple of their interval.

    Attributes
    ----------
    lost : spans of time without a scrape, the last second not included.
    restarts : of a version, the scrape right after which its containers restart.
    """

    tale: Tale
    phase: int = 0
    lost: list[tuple[int, int]] = field(default_factory=list)
    restarts: dict[Version, int] = field(default_factory=dict)

    def series(self) -> list[dict[str, str]]:
        """Return series in promtool's notation, a value for each step of the grid."""
        slots: dict[str, list[str]] = defaultdict(lambda: ["_"] * (END // GRID + 1))
        for one, spells in self.tale.items():
            for number in range(max(spell.pods for spell in spells)):
                self._scrape(one, spells, number, slots)
        return [{"series": name, "values": " ".join(values)} for name, values in slots.items()]

    def _scrape(
        self, one: Version, spells: list[Spell], number: int, slots: dict[str, list[str]]
    ) -> None:
        seen: set[str] = set()
        for slot in range(END // GRID + 1):
            moment = slot * GRID
            if (moment + self.phase) % SCRAPE or any(a <= moment < b for a, b in self.lost):
                continue
            page = dict(self._page(one, spells, number, moment))
            for name, value in page.items():
                slots[name][slot] = value
            for name in seen - page.keys():
                slots[name][slot] = "stale"
            seen = set(page)

    def _page(
        self, one: Version, spells: list[Spell], number: int, moment: int
    ) -> Iterator[tuple[str, str]]:
        now = [spell for spell in spells if spell.begin <= moment]
        if not now or number >= now[-1].pods:
            return
        labels = {**one._asdict(), "pod": f"{one.product}-{one.version}-{number}", "job": "j"}
        yield name("up", labels), "1"
        begun = self.restarts.get(one, 0)
        since = begun if begun < moment else 0
        page = {
            "requests": _requests(labels, "200", ("failed", "refused")),
            "failed": _requests(labels, "500"),
            "refused": _requests(labels, "422"),
            **{kind: _labelled(labels, kind) for kind in ("correct", "wrong")},
        }
        held = {event: _grown(spells, number, event, since, moment) for event in (*MIXED,)}
        own = held["requests"] - held["failed"] - held["refused"]
        for event, series in page.items():
            if (value := own if event == "requests" else held[event]) >= 1:
                yield series, str(floor(value + 1e-6))
        if held["answered"] >= 1:
            for bound in ("0.1", "0.25", "1.0", "+Inf"):
                value = held["answered"] - (held["slow"] if bound != "+Inf" else 0)
                yield _bucket(labels, bound), str(floor(value + 1e-6))
        yield from _kubelet(labels, moment)


def name(metric: str, labels: dict[str, str]) -> str:
    return (
        f"{metric}{{{', '.join(f'{label}={value!r}' for label, value in labels.items())}}}".replace(
            "'", '"'
        )
    )


def _requests(labels: dict[str, str], code: str, _: tuple[str, ...] = ()) -> str:
    route = {"endpoint": "/predict", "runner_name": "Search", "http_response_code": code}
    return name("bentoml_service_request_total", {**labels, **route})


def _bucket(labels: dict[str, str], bound: str) -> str:
    route = {"endpoint": "/predict", "runner_name": "Search", "http_response_code": "200"}
    metric = "bentoml_service_request_duration_seconds_bucket"
    return name(metric, {**labels, **route, "le": bound})


def _labelled(labels: dict[str, str], outcome: str) -> str:
    predicted = {
        "prediction_version": labels["version"],
        "prediction_revision": labels["revision"],
    }
    metric = "sluicegate_predictions_labelled_total"
    return name(metric, {**labels, **predicted, "outcome": outcome})


def _kubelet(labels: dict[str, str], moment: int) -> Iterator[tuple[str, str]]:
    of = {"namespace": labels["namespace"], "pod": labels["pod"], "container": "server"}
    yield name("container_cpu_cfs_periods_total", of), str(moment * 8)
    yield name("container_cpu_cfs_throttled_periods_total", of), str(moment * 2)
    yield name("container_memory_working_set_bytes", of), "200"
    yield name("container_spec_memory_limit_bytes", of), "400"


def _grown(spells: list[Spell], number: int, event: str, since: int, moment: int) -> float:
    """Return one pod's count of an event: its share of the events of each of its spells."""
    ends = [*(spell.begin for spell in spells[1:]), END + 1]
    return sum(
        spell.rates.get(event, 0.0)
        / spell.pods
        * max(0, min(end, moment) - max(spell.begin, since))
        for spell, end in zip(spells, ends, strict=True)
        if number < spell.pods
    )


def check(scraped: Scraped, promtool: Path, folder: Path) -> dict[QueryKind, int]:
    """Hold that promtool and the one in memory give the same rows; return how many of each kind."""
    server = PrometheusServer(
        traffic_of(scraped.tale), epoch=0.0, phase=scraped.phase, lost=list(scraped.lost)
    )
    asked, rows = [], {}
    for query in render_queries(Scope(), BLOCK, NEEDS):
        assert recognise(query.text) == query.kind
        found: dict[int, list[dict[str, Any]]] = {index: [] for index in BLOCKS}
        for row in server.rows(query.text, BLOCKS, BLOCK):
            for moment, value in row["values"]:
                sample = {"labels": name("", row["metric"]), "value": float(value)}
                found[moment // BLOCK].append(sample)
        rows[query.kind] = sum(map(len, found.values()))
        asked += [
            {"expr": query.text, "eval_time": f"{index * BLOCK}s", "exp_samples": samples}
            for index, samples in found.items()
        ]
    test = {
        "interval": f"{GRID}s",
        "input_series": scraped.series(),
        "promql_expr_test": asked,
    }
    answer = run(promtool, folder, "test", "rules", tests={"tests": [test], "fuzzy_compare": True})
    assert answer.returncode == 0, answer.stdout + answer.stderr
    return rows


@pytest.mark.parametrize("phase", [0, 5, 10])
def test_the_virtual_prometheus_counts_changing_pods_like_the_real_one(
    phase: int, promtool: Path, tmp_path: Path
):
    rows = check(Scraped(earlier(CALM, phase), phase), promtool, tmp_path)
    assert all(rows.values())


def test_the_virtual_prometheus_counts_blocks_of_an_outage_like_the_real_prometheus(
    promtool: Path, tmp_path: Path
):
    lost = [(1530, 1620), (1950, 2250), (2505, 3015), (3300, 3600)]
    check(Scraped(CALM, lost=lost), promtool, tmp_path)


@pytest.mark.parametrize("moment", [3150, 3300, 3585])
def test_a_counter_reset_loses_no_event_in_the_real_and_in_the_virtual_prometheus(
    moment: int, promtool: Path, tmp_path: Path
):
    check(Scraped(CALM, restarts={version("v1"): moment}), promtool, tmp_path)
