"""A model of BentoML's store, watched by `bentoml.monitor`, in the form of its `task_classification`."""

from typing import Annotated

import bentoml
import numpy as np
from bentoml.validators import DType, Shape

Rows = Annotated[np.ndarray, DType("float64"), Shape((-1, 4))]


@bentoml.service(traffic={"timeout": 10}, resources={"cpu": "100m"})
class Flowers:
    model = bentoml.models.BentoModel("flowers:latest")

    def __init__(self) -> None:
        self._model = bentoml.sklearn.load_model(self.model)

    @bentoml.api(batchable=True)
    def classify(self, rows: Rows) -> np.ndarray:
        found = self._model.predict(rows)
        with bentoml.monitor("flowers") as watched:
            watched.log(float(rows[0][0]), name="sepal", role="feature", data_type="numerical")
            watched.log(int(found[0]), name="kind", role="prediction", data_type="categorical")
        return found
