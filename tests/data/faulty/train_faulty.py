"""Trainings of the pricing product that go wrong, each in one way. `FAULT` says in which.

It is laid beside the product's own code when a test builds a bento, and is run by
`python -m train_faulty`; no product ships it. The trainings whose name begins with `live-` pass
every check before traffic: only live traffic shows what is wrong with their version.
"""

import os
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pricing.model import PricingModel
from pricing.recipe import PricingRecipe
from threadpoolctl import threadpool_limits

from sluicegate_service import trainer
from sluicegate_service.training import TrainingTask


@dataclass(frozen=True, slots=True)
class WorseRecipe(PricingRecipe):
    """Learns prices of which a fifth belong to other cars."""

    def fit(self, *, lighter: bool) -> PricingModel:
        model = PricingRecipe.fit(self, lighter=lighter)
        return Spoiled(model.effort, model.names, model.trees)


@dataclass(frozen=True, slots=True)
class Spoiled(PricingModel):
    """A model that asks a fifth too much for each fifth car."""

    def predict(self, cars):
        prices = PricingModel.predict(self, cars)
        return np.where(np.arange(len(prices)) % 5 == 0, prices * 1.2, prices)


@dataclass(frozen=True, slots=True)
class LiveFaultRecipe(PricingRecipe):
    """Trains well, and lays the faulty service over the good one."""

    def save(self, model: PricingModel, folder: Path) -> None:
        PricingRecipe.save(self, model, folder)
        bentofile = folder / "bentofile.yaml"
        text = bentofile.read_text().replace(
            '"pricing.service:Pricing"', '"faulty_service:Pricing"'
        )
        bentofile.write_text(text.replace("include:", 'include:\n  - "fault.txt"'))
        (folder / "fault.txt").write_text(os.environ["FAULT"])


def crash() -> None:
    raise MemoryError("the training set does not fit")


def hang() -> None:
    threading.Event().wait()


def rubbish() -> None:
    TrainingTask.from_environment(os.environ).termination_log.write_text("accuracy is great!")


def push_nothing() -> None:
    """Report a version of a digest that no registry holds."""
    task = TrainingTask.from_environment(os.environ)
    task.termination_log.write_text(
        f'{{"image": "{task.output}@sha256:{"0" * 64}", "version": "v2",'
        ' "evaluation": {"accuracy": {"bad": 800, "total": 10500}},'
        ' "stableEvaluation": {"accuracy": {"bad": 900, "total": 10500}}}'
    )


def say_nothing() -> None:
    """End well without a word."""


WITHOUT_TRAINING = {
    "crash": crash,
    "hang": hang,
    "rubbish": rubbish,
    "push-nothing": push_nothing,
    "say-nothing": say_nothing,
}


def main() -> int:
    fault = os.environ["FAULT"]
    if fault in WITHOUT_TRAINING:
        WITHOUT_TRAINING[fault]()
        return 0
    recipe = WorseRecipe if fault == "worse" else LiveFaultRecipe
    with threadpool_limits(limits=1):
        return trainer.main(recipe.from_environment(), [])


if __name__ == "__main__":
    sys.exit(main())
