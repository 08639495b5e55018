"""A small real service: a classifier of scikit-learn behind two routes."""

from __future__ import annotations

import bentoml
import numpy as np


@bentoml.service(metrics={"enabled": True}, traffic={"timeout": 10})
class Churn:
    """Predicts whether a customer leaves."""

    model_reference = bentoml.models.BentoModel("churn:v1")

    def __init__(self) -> None:
        self.model = bentoml.sklearn.load_model(self.model_reference)

    @bentoml.api
    def predict(self, features: list[float]) -> int:
        """1 if the customer leaves."""
        return int(self.model.predict(np.array([features]))[0])

    @bentoml.api
    def fail(self) -> int:
        """Raises, as broken services do."""
        raise RuntimeError("broken by intent")
