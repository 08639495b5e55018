"""Trains the model, builds the bento and exports it: `make.py VERSION FILE [REQUIREMENT …]`."""

from __future__ import annotations

import sys
from pathlib import Path

import bentoml
import numpy as np
from sklearn.linear_model import LogisticRegression


def main(version: str, target: Path, packages: list[str]) -> None:
    generator = np.random.default_rng(7)
    features = generator.normal(size=(200, 3))
    labels = (features.sum(axis=1) > 0).astype(int)
    bentoml.sklearn.save_model("churn:v1", LogisticRegression().fit(features, labels))
    bento = bentoml.bentos.build(
        "service:Churn",
        name="churn",
        version=version,
        build_ctx=str(Path(__file__).parent),
        include=["service.py"],
        python={"packages": packages or ["scikit-learn"], "lock_packages": False},
    )
    bentoml.bentos.export_bento(bento.tag, str(target))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
