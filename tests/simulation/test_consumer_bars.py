"""Error rates of the SLO of a consumer in canaries of its upstream, by the operator's own policy.

Each canary is judged by `assess`, `with_consumers` and `decide`, block by block, from counts of requests
that call the upstream 1 + Poisson times, so that 0, 20 or 60 % of them would meet both versions. With draws
each counts for one version; without them those that are mixed count for none. Seeds are fixed.
`CONSUMER_RUNS=2000 pytest -s …` judges more canaries a row, and prints the rates.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from math import sqrt
from typing import Final

import numpy as np
import pytest

from benchmarks.virtual.callings import Calling, calls_with
from benchmarks.virtual.traffic import Version
from sluicegate.api.product import DataProduct
from sluicegate.api.status import DataProductStatus
from sluicegate.api.versions import Candidate, CandidatePhase, Release, VersionSource
from sluicegate.api.versions import Version as StableVersion
from sluicegate.kube.resources import Key
from sluicegate.policy.canary.case import CanaryCase
from sluicegate.policy.canary.consumer_cases import with_consumers
from sluicegate.policy.canary.evidence_gathering import assess
from sluicegate.policy.canary.verdict import decide
from sluicegate.policy.model.canary_block import CanaryBlock, ConsumerBlock
from sluicegate.policy.model.consumers import ConsumerReading, consumer_terms
from sluicegate.policy.model.observed import Facts, Observed
from sluicegate.policy.rollout.candidates import with_share
from sluicegate.slo.blocks import BlockValue, Quality
from sluicegate.slo.label_ages import labels_by_age
from sluicegate.stats.counts import NOTHING, Count
from sluicegate.stats.sequential_test import ALPHA
from tests.support.decisions.canary_products import canary_terms
from tests.support.virtual.stories import product

pytestmark = [pytest.mark.heavy, pytest.mark.grid, pytest.mark.timeout(1800)]
RUNS: Final = int(os.environ.get("CONSUMER_RUNS", "200"))
BAR: Final = ALPHA + 3 * sqrt(ALPHA * (1 - ALPHA) / RUNS)
BLOCK, BLOCKS, BEFORE = 300, 60, 12
REQUESTS: Final = 1_500
"""Labelled requests of the consumer in a block."""
SHARE, WRONG, DROP = 0.5, 0.2, 0.02
UPSTREAM, CONSUMER = ("default", "simulated"), "catalog/search"
OWN: Final = "Rollback by its own SLO"
CASE: Final = f"{CONSUMER}/accuracy"
STABLE, CANDIDATE = (Version(*UPSTREAM, name, name * 5) for name in ("v1", "v2"))
TERMS: Final = canary_terms(
    ("availability", "0.9", "0.05"), steps=[50], maxDurationSeconds=BLOCK * BLOCKS
)


def consumer() -> DataProduct:
    asks = {"namespace": UPSTREAM[0], "name": UPSTREAM[1], "evidence": "Required"}
    accuracy = {"name": "accuracy", "indicator": {"outcomes": {}}, "maxDrop": str(DROP)}
    body = product("search", slos=[accuracy], dependsOn=[asks], retraining=None)
    return DataProduct.parse(body)


def values(source, total, ratio):
    drawn = int(source.poisson(total))
    return Count(int(source.binomial(drawn, ratio)) if drawn else 0, drawn)


def own_block(source, end, *, taken):
    """A block of the upstream itself, whose candidate is as available as its stable version."""
    arms = {"stable": (1 - SHARE) if taken else 1.0, "candidate": SHARE if taken else 0.0}
    stable, candidate = (
        {"availability": BlockValue(Quality.COUNTED, values(source, 3000 * share, 0.001))}
        for share in arms.values()
    )
    return CanaryBlock(end, Quality.COUNTED, stable, candidate if taken else {})


def consumer_block(source, end, rates):
    """A block of the consumer; before the rollout without rates, all of its outcomes.

    Each label comes within seconds.
    """
    if rates is None:
        counts = {"stable": values(source, REQUESTS, WRONG), "candidate": NOTHING}
        met = (0, 0, 0)
    else:
        total = {
            name: sum(rates[f"{outcome}^{Key(*UPSTREAM)}^{version.version}^{version.revision}"]
                      for outcome in ("correct", "wrong"))
            for name, version in (("candidate", CANDIDATE), ("stable", STABLE))
        }  # fmt: skip
        counts = {
            name: values(
                source,
                total[name] * BLOCK,
                rates[f"wrong^{Key(*UPSTREAM)}^{version.version}^{version.revision}"] / total[name],
            )
            for name, version in (("candidate", CANDIDATE), ("stable", STABLE))
        }
        of = {
            result: int(source.poisson(rates[f"met^{Key(*UPSTREAM)}^{result}"] * BLOCK))
            for result in ("one", "mixed", "unmarked")
        }
        met = (sum(of.values()), of["mixed"], of["unmarked"])
    ages = labels_by_age(
        *(((count,) + (NOTHING,) * 6) for count in (counts["candidate"], counts["stable"]))
    )
    block = CanaryBlock(
        end,
        Quality.COUNTED,
        {CASE: BlockValue(Quality.COUNTED, counts["stable"])},
        {} if rates is None else {CASE: BlockValue(Quality.COUNTED, counts["candidate"])},
        ages=ages,
    )
    return ConsumerBlock(block, *met)


def canary(seed, *, mixed, worse=0.0, draws=True):
    """How one canary ends."""
    source = np.random.default_rng(seed)
    calling = Calling(Key(*UPSTREAM), calls_with(mixed, SHARE), per_call=0.02, draws=draws)
    wrong = {STABLE: (1 - SHARE, WRONG), CANDIDATE: (SHARE, WRONG + worse)}
    rates = dict(calling.events(REQUESTS / BLOCK, 1.0, wrong))
    start = BEFORE * BLOCK
    own = [own_block(source, (n + 1) * BLOCK, taken=False) for n in range(BEFORE)]
    theirs = [consumer_block(source, (n + 1) * BLOCK, None) for n in range(BEFORE)]
    first = Candidate.of(
        Release("v2"), VersionSource.SPEC, phase=CandidatePhase.STARTING, start_time=start
    )
    candidate = with_share(first, 50, start)
    stable = StableVersion.of(Release("v1"), VersionSource.SPEC, promotion_time=0)
    status = DataProductStatus(stable=stable, candidate=candidate)
    terms = consumer_terms(consumer(), UPSTREAM)
    for number in range(BEFORE, BEFORE + BLOCKS):
        end = (number + 1) * BLOCK
        own.append(own_block(source, end, taken=True))
        theirs.append(consumer_block(source, end, rates))
        observed = Observed(
            end // BLOCK,
            canary_blocks=tuple(own),
            canary_block_seconds=BLOCK,
            consumer_readings=(ConsumerReading(CONSUMER, terms, blocks=tuple(theirs)),),
        )
        found = assess(TERMS, status, candidate, observed)
        found = with_consumers(TERMS, status, candidate, observed, assessment=found)
        made = decide(CanaryCase(TERMS, status, candidate, found, facts=Facts(), now=end))
        if str(made.type) in {"Promote", "Rollback", "Inconclusive"}:
            by_own = made.type == "Rollback" and "search / accuracy" not in made.message
            return OWN if by_own else str(made.type)
    return "Inconclusive"


def ends(name, **world):
    seeds = random.Random(name)
    found = Counter(canary(seeds.getrandbits(32), **world) for _ in range(RUNS))
    print(f"{name:40}", *(f"{kind} {found[kind] / RUNS:6.1%}" for kind in sorted(found)))
    return {kind: number / RUNS for kind, number in found.items()}


@pytest.mark.parametrize("mixed", [0.0, 0.2, 0.6])
def test_a_consumers_slo_keeps_both_error_rates_at_any_number_of_calls(mixed):
    equal = ends(f"equal, {mixed:.0%} would be mixed", mixed=mixed)
    worse = ends(f"worse by the margin, {mixed:.0%} would be mixed", mixed=mixed, worse=DROP)
    assert equal.get("Rollback", 0.0) + equal.get(OWN, 0.0) <= BAR
    assert worse.get("Promote", 0.0) <= BAR
    assert equal.get("Promote", 0.0) >= 0.8
    assert worse.get("Rollback", 0.0) >= 0.8


@pytest.mark.parametrize("mixed", [0.2, 0.6])
def test_requests_that_met_both_versions_are_no_evidence(mixed):
    found = ends(f"worse, {mixed:.0%} mixed", mixed=mixed, worse=5 * DROP, draws=False)
    assert set(found) <= {"Inconclusive", OWN}
