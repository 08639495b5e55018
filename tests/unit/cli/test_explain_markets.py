"""What explain says by market: the stable version in each, and the candidate beside it."""

from __future__ import annotations

import json
from importlib.resources import files

import jsonschema

from sluicegate.api.product import DataProduct
from sluicegate.cli.trials.explain_live import Live
from sluicegate.policy.evaluate import evaluate
from sluicegate.policy.model.terms import terms_of
from tests.support.decisions.judged import (
    BLOCK,
    START,
    V1,
    both_arms,
    candidate,
    observed,
    series,
    serving,
    stable,
)
from tests.support.decisions.scenarios import ACCURACY, product

SPEC = product(
    {**ACCURACY, "objective": "0.8"},
    markets=["AT", "FR"],
    serving={
        "runtimeImage": "r:1",
        "market": {"from": "Header"},
        "feedback": {"secretRef": {"name": "f"}},
    },
)
NEWEST = START // BLOCK + 60


def live(**canary: object) -> Live:
    """A product whose Austria is bad and whose France is good, in sixty blocks."""
    first = NEWEST - 59
    by_market = {
        "AT": series(*[(20, 40)] * 60, first=first),
        "FR": series(*[(20, 400)] * 60, first=first),
    }
    whole = {V1.version: {"accuracy": series(*[(40, 440)] * 60, first=first)}}
    one = candidate(50) if canary else None
    status = serving(stable=stable(since=START - 86_400), candidate=one)
    read = observed(
        canary.get("blocks", ()), block=NEWEST, series=whole, markets={"accuracy": by_market}
    )
    parsed = DataProduct.parse(SPEC).replace(status=status)
    terms = terms_of(parsed)
    return Live(parsed, terms, read, evaluate(terms, status, read, START + 61 * BLOCK))


def test_explain_shows_the_newest_blocks_by_market_and_since_when_a_market_is_missed():
    lines = "\n".join(live().lines)
    assert (
        "    AT Missed: 50.0 % (n=2,400, 95 %: 48.0 % to 52.0 %), at least 80.0 % is required"
        in lines
    )
    assert ", missed since " in lines
    assert "    FR Met: 95.0 % (n=4,800," in lines
    austria, france = live().as_object["slos"][0]["markets"]
    assert (austria["market"], austria["state"], austria["bad"]) == ("AT", "Missed", 1200)
    assert "missedStartTime" in austria
    assert "missedStartTime" not in france


def test_explain_shows_the_evidence_on_a_candidate_by_market():
    ours = {"accuracy": (40, 440), "accuracy@AT": (20, 40), "accuracy@FR": (20, 400)}
    theirs = {"accuracy": (44, 440), "accuracy@AT": (4, 40), "accuracy@FR": (40, 400)}
    found = live(blocks=both_arms(ours, theirs, 300))
    lines = "\n".join(found.lines)
    assert "candidate in AT in accuracy: is worse: 50.0 %" in lines
    assert "candidate in FR in accuracy: isn't shown to be worse: 95.0 %" in lines
    document = found.as_object
    austria, _ = document["candidateMarkets"]
    assert (austria["market"], austria["evidence"] > austria["bound"]) == ("AT", True)
    schema = json.loads(files("sluicegate.cli").joinpath("schemas/output.json").read_text())
    jsonschema.validate(document, _part(schema, "now"))


def _part(schema: object, name: str) -> dict[str, object]:
    """The schema of a field, wherever it is."""
    if isinstance(schema, dict):
        own = schema.get(name)
        if isinstance(own, dict) and own.get("type") == "object":
            return own
        return next(filter(None, (_part(one, name) for one in schema.values())), {})
    if isinstance(schema, list):
        return next(filter(None, (_part(one, name) for one in schema)), {})
    return {}
