"""A file with outcomes of consumers: a candidate that is worse for one alone is rolled back in a replay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluicegate.__main__ import main
from sluicegate.errors import InvalidInput
from sluicegate.simulation.replay_consumers import omitted_consumers_of
from sluicegate.simulation.replay_scenario import parse_scenario
from tests.support.decisions.scenarios import acts, count, product, run

MINUTE = 60
CONSUMER = "catalog/ranking"
CONVERSION = {"name": "conversion", "indicator": {"events": {"lagSeconds": 0}}, "maxDrop": "0.02"}
AVAILABILITY = {"name": "availability", "indicator": {"availability": {}}, "objective": "0.99"}
BEGIN, MINUTES = 65, 110


def upstream() -> dict[str, Any]:
    consumers = {"names": ["ranking"], "parentRefs": [{"name": "web"}]}
    route = {"hostnames": ["search.example"], "parentRefs": [{"name": "web"}]}
    rollout = {"steps": [50], "consumers": consumers, "maxDurationSeconds": 36_000}
    return product(AVAILABILITY, rollout=rollout, route=route, retraining=None)


def consumer(evidence: str = "Required") -> dict[str, Any]:
    asks = [{"name": "search", "evidence": evidence}]
    body = product(CONVERSION, dependsOn=asks, retraining=None)
    return body | {"metadata": {"name": "ranking", "namespace": "catalog"}}


def outcomes(minute: int, bad: int, requests: dict[str, int] | str) -> dict[str, Any]:
    """One minute of the consumer, of whose events `bad` of 1,000 are bad with v2."""
    usual = {"usual": {"conversion": count(200, 2000)}}
    if minute <= BEGIN:
        return usual
    both = {"v1": {"conversion": count(100, 1000)}, "v2": {"conversion": count(bad, 1000)}}
    return usual | {"versions": both, "requests": requests}


def history(bad: int, *, requests: Any = None, **fields: Any) -> dict[str, Any]:
    """v2 comes after 65 minutes; `bad` of 1,000 events are bad with it, and 100 with v1."""
    met = {"total": 100, "mixed": 0, "unmarked": 0} if requests is None else requests
    served = {"availability": count(0, 100)}
    blocks = [
        {
            "at": minute * MINUTE,
            "counts": {"v1": served} | ({"v2": served} if minute > BEGIN else {}),
            "consumers": {CONSUMER: outcomes(minute, bad, met)},
        }
        for minute in range(1, MINUTES)
    ]
    document = {
        "product": upstream(),
        "consumers": [consumer()],
        "version": "v1",
        "blocks": blocks,
        "events": [{"at": BEGIN * MINUTE, "modelChanged": {"version": "v2"}}],
    }
    return document | fields


def test_a_candidate_that_is_worse_for_a_consumer_alone_is_rolled_back():
    lines = run(history(200))
    assert acts(lines)[-1] == ("Rollback", "CanaryWorse")
    (message,) = [
        line["decision"]["message"] for line in lines if "worse in" in line["decision"]["message"]
    ]
    assert "v2 is worse in ranking / conversion: " in message
    assert acts(run(history(100)))[-1] == ("Promote", "CanaryNotWorse")


@pytest.mark.parametrize(
    "requests",
    [{"total": 100, "mixed": 40, "unmarked": 0}, {"total": 100, "mixed": 0, "unmarked": 40}, "LowCoverage"],
)  # fmt: skip
def test_requests_of_no_version_are_no_evidence_in_a_replay(requests):
    lines = run(history(200, requests=requests))
    assert acts(lines)[-1][0] == "StartRollout"
    assert lines[-1]["decision"]["reason"] == "ConsumerNotMeasured"


def test_a_consumer_without_evidence_is_no_case():
    assert acts(run(history(200, consumers=[consumer("Ignore")])))[-1][0] == "Promote"


def test_a_replay_of_a_file_without_outcomes_of_consumers_prints_a_note(tmp_path, capsys):
    document = history(200)
    for block in document["blocks"]:
        del block["consumers"]
    assert omitted_consumers_of(parse_scenario(document)) == (CONSUMER,)
    path = tmp_path / "history.yaml"
    path.write_text(json.dumps(document))
    assert main(["replay", str(path)]) == 0
    shown = capsys.readouterr()
    assert f"note: outcomes of {CONSUMER} aren't in the file" in shown.err
    assert json.loads(shown.out.splitlines()[-1])["stable"] == "v2"


@pytest.mark.parametrize(
    ("block", "where", "why"),
    [
        ({"catalog/other": {}}, "blocks[0].consumers.catalog/other", "catalog/ranking"),
        ({CONSUMER: {"usual": {"clicks": count(0, 1)}}}, "usual.clicks", "is no SLO"),
        ({CONSUMER: {"requests": {"total": 1}}}, "requests.mixed", "is required"),
        ({CONSUMER: {"versions": [1]}}, "versions", "must be a mapping"),
        ({CONSUMER: {"other": {}}}, "other", "use one of usual, versions, requests"),
    ],
)
def test_a_mistake_in_the_outcomes_of_consumers_is_named(block, where, why):
    document = history(100, blocks=[{"at": 60, "consumers": block}])
    with pytest.raises(InvalidInput) as caught:
        parse_scenario(document)
    (problem,) = [problem for problem in caught.value.problems if where in problem.path]
    assert why in problem.message


def test_a_consumer_that_is_no_product_is_named_with_its_place():
    with pytest.raises(InvalidInput, match=r"consumers\[0\]"):
        parse_scenario(history(100, consumers=["ranking"]))
