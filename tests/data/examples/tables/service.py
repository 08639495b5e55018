"""Inputs and outputs beyond JSON, in the form of BentoML's example `io-descriptors`."""

from pathlib import Path
from typing import Annotated

import bentoml
import numpy as np
import pandas as pd
from bentoml.validators import ContentType, DataframeSchema

Table = Annotated[pd.DataFrame, DataframeSchema(orient="records", columns=["price", "age"])]
Text = Annotated[Path, ContentType("text/plain")]


@bentoml.service
class Tables:
    @bentoml.api
    def mean(self, table: Table) -> np.ndarray:
        return table.mean().to_numpy()

    @bentoml.api
    def append(self, context: bentoml.Context, file: Text, line: str) -> Text:
        written = Path(context.temp_dir) / "out.txt"
        written.write_text(file.read_text() + line)
        return written
