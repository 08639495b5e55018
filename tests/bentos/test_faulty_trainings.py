"""The trainings and versions that other tests break the operator's loop with do what they say."""

import json
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.bentos.sending import send
from tests.support.samples.products import (
    ServedProduct,
    build,
    faulty_source,
    identity,
    pull,
    retrain,
    served,
)
from used_car_market.exchanges import Sellers


@dataclass(frozen=True)
class Attempt:
    """What a faulty training left behind."""

    returncode: int
    errors: str
    message: str | None

    @property
    def result(self) -> dict:
        assert self.message is not None, self.errors
        return json.loads(self.message)

    def accuracy(self, part: str) -> float:
        counts = self.result[part]["accuracy"]
        return 1 - counts["bad"] / counts["total"]


@pytest.fixture(scope="module")
def stable(tmp_path_factory, market) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    return build(faulty_source(folder / "source"), folder / "v1", market=market)


@pytest.fixture
def attempt(stable, registry, tmp_path, market):
    """Return a function that runs the training with one fault, pushing to a repository of the fault's own."""

    def run(fault: str) -> Attempt:
        log = tmp_path / "termination-log"
        finished = retrain(
            stable,
            registry,
            log,
            module="train_faulty",
            FAULT=fault,
            USED_CAR_MARKET=market.dump(),
            SLUICEGATE_OUTPUT=f"{registry}/faulty/{fault}",
        )
        message = log.read_text() if log.exists() else None
        return Attempt(finished.returncode, finished.stderr, message)

    return run


@pytest.fixture
def serving(tmp_path, secret):
    """Return a function that serves the bento in an image as version v2 of the pricing product."""

    def serve(image: str) -> AbstractContextManager[ServedProduct]:
        bento = pull(image, tmp_path / "bento")
        return served(bento, tmp_path / "served", **identity("pricing", "v2", secret))

    return serve


def test_a_crashed_training_ends_with_its_traceback(attempt):
    crashed = attempt("crash")
    assert (crashed.returncode, crashed.message) == (1, None)
    assert crashed.errors.endswith("MemoryError: the training set does not fit\n")


def test_a_training_with_a_malformed_or_missing_result_exits_with_0(attempt):
    assert attempt("say-nothing").message is None
    rubbish = attempt("rubbish")
    assert (rubbish.returncode, rubbish.message) == (0, "accuracy is great!")


def test_a_version_that_was_never_pushed_is_reported(attempt):
    assert attempt("push-nothing").result["image"].endswith("@sha256:" + "0" * 64)


def test_a_worse_model_has_more_wrong_rows_on_the_hold_out(attempt):
    worse = attempt("worse")
    assert worse.accuracy("stableEvaluation") > 0.9
    assert worse.accuracy("evaluation") < 0.8


@pytest.mark.parametrize(
    "fault",
    [
        "live-errors",
        *(pytest.param(one, marks=pytest.mark.grid) for one in ("live-slow", "live-wrong")),
    ],
)
async def test_a_version_can_pass_the_hold_out_and_fail_on_live_traffic(
    attempt, serving, market, fault
):
    passed = attempt(fault)
    assert passed.accuracy("evaluation") > 0.9
    with serving(passed.result["image"]) as product:
        tally = await send(product, Sellers(seed=31), market, requests=30)
    seen = tally.versions["v2"]
    assert {
        "live-errors": tally.failures == {"500": 10},
        "live-slow": seen.seconds / seen.answers > 0.6,
        "live-wrong": seen.accuracy is not None and seen.accuracy < 0.2,
    }[fault], tally
