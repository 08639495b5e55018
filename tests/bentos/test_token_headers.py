"""Feedback for services whose answers stay as they are: BentoML, its metrics, and the launcher around it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sluicegate_service.bentos import extract
from tests.support.samples.bentos import bento_environment
from tests.support.samples.products import BEARER, ServedProduct, identity, launched
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).resolve().parents[1] / "data" / "doubled"
BUILD = """
import sys, bentoml
service, source, target = sys.argv[1:]
bento = bentoml.bentos.build(
    service, name="doubled", version="v1", build_ctx=source,
    include=["*.py"], python={"packages": ["bentoml"], "lock_packages": False},
)
bentoml.bentos.export_bento(bento.tag, target)
"""
LABELLED = "sluicegate_predictions_labelled_total"


def build(service: str, folder: Path) -> Path:
    target = folder / "doubled.bento"
    subprocess.run(
        [sys.executable, "-c", BUILD, service, str(SOURCE), str(target)],
        check=True,
        env=bento_environment(folder / "store"),
        cwd=folder,
    )
    extract(target, folder / "unpacked")
    return folder / "unpacked"


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory, secret: Path) -> Iterator[ServedProduct]:
    folder = tmp_path_factory.mktemp("doubled")
    place = {"field": "result.double", "id": {"header": "x-order-id"}}
    variables = identity("doubled", "v1", secret) | {"SLUICEGATE_PREDICTION": json.dumps(place)}
    with launched(build("service:Doubled", folder), folder, **variables) as product:
        yield product


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory, secret: Path) -> Iterator[ServedProduct]:
    folder = tmp_path_factory.mktemp("scored")
    with launched(
        build("scored:Scored", folder), folder, **identity("doubled", "v1", secret)
    ) as product:
        yield product


def feedback(product: ServedProduct, *labels: dict[str, object]) -> dict[str, Any]:
    answer = product.post("/feedback", {"labels": labels}, Authorization=f"Bearer {BEARER}")
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found


def outcomes(product: ServedProduct) -> dict[str, float]:
    counts = product.counters(LABELLED)
    return {
        outcome: sum(count for (_, each, *_), count in counts.items() if each == outcome)
        for outcome in ("correct", "wrong")
    }


def test_a_service_without_library_code_supports_feedback_with_unchanged_answers(doubled):
    before = outcomes(doubled)
    answers = [doubled.post("/double", {"number": number}) for number in (3, 4)]
    assert [answer.json() for answer in answers] == [
        {"result": {"double": 6}, "order": ""},
        {"result": {"double": 8}, "order": ""},
    ]
    tokens = [answer.headers["sluicegate-token"] for answer in answers]
    labels = [{"token": token, "truth": 6} for token in tokens]
    assert feedback(doubled, *labels) == {"counted": 2, "refused": []}
    after = outcomes(doubled)
    assert {key: after[key] - before[key] for key in after} == {"correct": 1, "wrong": 1}


def test_repeated_answers_with_one_caller_id_count_once(doubled):
    answers = [doubled.post("/double", {"number": 5}, **{"x-order-id": "o-1"}) for _ in range(2)]
    tokens = [answer.headers["sluicegate-token"] for answer in answers]
    labels = [{"token": token, "truth": 10} for token in tokens]
    answer = feedback(doubled, *labels)
    assert answer["counted"] == 1
    assert [refusal["reason"] for refusal in answer["refused"]] == ["Repeated"]


def test_a_label_of_another_type_than_the_prediction_is_refused(doubled):
    token = doubled.post("/double", {"number": 1}).headers["sluicegate-token"]
    (refusal,) = feedback(doubled, {"token": token, "truth": "2"})["refused"]
    assert refusal["message"] == "the truth is a text, and predictions are a number"


def test_a_failed_response_has_no_token(doubled):
    answer = doubled.post("/double", {"number": "three"})
    assert answer.status_code == 400
    assert "sluicegate-token" not in answer.headers


def test_labels_without_the_bearer_are_refused_by_the_added_route_too(doubled):
    assert doubled.post("/feedback", {"labels": []}).status_code == 401


def test_service_code_sets_the_token_header_and_its_own_scorer_is_used(scored):
    before = outcomes(scored)
    answer = scored.post("/double", {"numbers": [1, 2]})
    assert answer.json() == [2, 4]
    tokens = answer.headers["sluicegate-token"].split(",")
    one = scored.post("/one", {"number": 3})
    assert one.json() == 6, "a method in a thread of its own"
    tokens.append(one.headers["sluicegate-token"])
    labels = [{"token": token, "truth": 2} for token in tokens]
    assert feedback(scored, *labels)["counted"] == 3
    after = outcomes(scored)
    assert {key: after[key] - before[key] for key in after} == {"correct": 1, "wrong": 2}


def test_a_mean_error_that_the_scorer_sets_is_a_gauge_of_the_pod(scored):
    tokens = scored.post("/double", {"numbers": [10, 20]}).headers["sluicegate-token"].split(",")
    before = scored.counters("doubled_error").get((), 0.0)
    labels = [{"token": token, "truth": 1020} for token in tokens]
    assert feedback(scored, *labels)["counted"] == 2
    assert scored.counters("doubled_error")[()] > before


def test_monitored_values_are_written_below_bentoml_home_and_not_into_the_service_folder(doubled):
    """The root file system of a pod is read-only."""
    assert doubled.post("/double", {"number": 4}).ok
    home = doubled.log.parent / "home"
    eventually(
        lambda: any((home / "monitoring" / "doubles" / "data").glob("*.log")),
        seconds=10,
        what="the file",
    )
    assert not list(doubled.log.parent.glob("unpacked/**/monitoring"))
