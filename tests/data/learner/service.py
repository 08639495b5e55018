"""A small service that learns: three numbers in, yes or no out, and a token for the truth.

The model's card may name a fault, for versions that are worse than their hold-out says.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import bentoml
import numpy as np

from sluicegate_service.environment import PRODUCT
from sluicegate_service.feedback import Feedback, InvalidTruthError, Label, Score, Settings
from sluicegate_service.keys import KeyFiles
from sluicegate_service.outcomes import Outcome, OutcomeCounters

CARD = json.loads((Path(__file__).parent / "model.json").read_text())
SETTINGS = Settings.from_environment(os.environ)
COUNTERS = OutcomeCounters.create(version=SETTINGS.version, revision=SETTINGS.revision)

# BentoML imports a service when it builds it, too.
if CARD["fault"] == "crash" and PRODUCT in os.environ:
    sys.exit("the model's weights can't be read")


def score(prediction: Any, truth: Any) -> Score:
    if not isinstance(truth, bool):
        raise InvalidTruthError(f"the truth is true or false, not {truth!r:.40}")
    return Score(Outcome.of(correct=prediction is truth))


@bentoml.service(name="Learner", traffic={"timeout": 10}, workers=1)
class Learner:
    """Says yes or no, after looking up as many comparisons as a question asks for."""

    def __init__(self) -> None:
        self._weights = np.array(CARD["weights"])
        self._asked = 0
        self._feedback = Feedback(
            SETTINGS, KeyFiles.from_environment(os.environ), COUNTERS, score=score
        )

    @bentoml.api(route="/reply" if CARD["fault"] == "renamed" else "/answer")
    async def answer(self, question: list[float], comparisons: int = 1) -> dict[str, Any]:
        if CARD["fault"] == "fragile" and comparisons > 1:
            os._exit(1)
        await asyncio.sleep(comparisons * CARD["seconds"])
        said = bool(self._weights @ np.array(question) > 0)
        self._asked += 1
        if CARD["fault"] == "wrong" and self._asked % 2:
            said = not said
        return {"answer": said, "version": SETTINGS.version, "token": self._feedback.token(said)}

    @bentoml.api(route="/feedback")
    async def feedback(self, labels: list[Label], ctx: bentoml.Context) -> dict[str, Any]:
        answer = self._feedback.receive(labels, ctx.request.headers.get("authorization"))
        ctx.response.status_code = answer.status
        return answer.body
