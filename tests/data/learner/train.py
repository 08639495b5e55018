"""The learner's training. `LEARNER_FAULT` makes it go wrong, in one way each."""

import json
import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from world import draw

from sluicegate_service import trainer
from sluicegate_service.training import Counts, Evaluation

WORLD = os.environ.get("LEARNER_WORLD", "before")
FAULT = os.environ.get("LEARNER_FAULT", "")
ROWS, HOLD_OUT = 20_000, 10_000


@dataclass(frozen=True)
class Model:
    weights: tuple[float, ...]
    seconds: float


@dataclass(frozen=True)
class LearnerRecipe:
    """Least squares on the world of now. A lighter model compares a hundred times faster."""

    name: str = "learner"
    source: Path = Path(__file__).parent

    def fit(self, *, lighter: bool) -> Model:
        questions, answers = draw(WORLD, ROWS, seed=1)
        weights = np.linalg.lstsq(questions, np.where(answers, 1.0, -1.0), rcond=None)[0]
        return Model(tuple(weights), 0.0002 if lighter else 0.02)

    def evaluate(self, model: Model, *, lighter: bool) -> Evaluation:
        questions, answers = draw(WORLD, HOLD_OUT, seed=2)
        wrong = (questions @ np.array(model.weights) > 0) != answers
        return {"accuracy": Counts(int(wrong.sum()), HOLD_OUT)}

    def load(self, folder: Path) -> Model:
        card = json.loads((folder / "model.json").read_text())
        return Model(tuple(card["weights"]), card["seconds"])

    def save(self, model: Model, folder: Path) -> None:
        card = {"weights": model.weights, "seconds": model.seconds, "fault": FAULT}
        (folder / "model.json").write_text(json.dumps(card))


def crash() -> None:
    raise MemoryError("the training set does not fit")


def hang() -> None:
    threading.Event().wait()


WITHOUT_TRAINING = {"training-crashes": crash, "training-hangs": hang}

if __name__ == "__main__":
    if FAULT in WITHOUT_TRAINING:
        sys.exit(WITHOUT_TRAINING[FAULT]())
    sys.exit(trainer.main(LearnerRecipe()))
