"""Base class of a recipe for models that joblib can store, such as scikit-learn's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sluicegate_service.training import TrainingError

if TYPE_CHECKING:
    from sluicegate_service.training import Evaluation


class JoblibRecipe:
    """A product's training; a product adds `name`, `fit` and `evaluate` (see trainer.Recipe)."""

    name: str
    """Name of the product, and of its bentos."""
    file: ClassVar[str] = "model.joblib"
    """File of the model in a source folder."""
    model_type: ClassVar[type] = object
    """Type of the stored model."""

    @property
    def source(self) -> Path:
        """Folder that the bento is built from: that of the recipe's module."""
        return Path(sys.modules[type(self).__module__].__file__ or "").resolve().parent

    def fit(self, *, lighter: bool) -> Any:
        """Train on current data; a lighter model if the last one was too slow."""
        raise NotImplementedError(f"{type(self).__name__}.fit isn't written")

    def evaluate(self, model: Any, *, lighter: bool) -> Evaluation:
        """Score a model on the hold-out, the same rows for both models of a training."""
        raise NotImplementedError(f"{type(self).__name__}.evaluate isn't written")

    def load(self, folder: Path) -> Any:
        """Load the model of a source folder."""
        import joblib  # noqa: PLC0415 - in the runtime image, not with each service

        model = joblib.load(folder / self.file)
        if not isinstance(model, self.model_type):
            actual, expected = type(model).__name__, self.model_type.__name__
            raise TrainingError(f"{folder / self.file} holds a {actual}, and {expected} is wanted")
        return model

    def save(self, model: Any, folder: Path) -> None:
        """Save a model in a source folder."""
        import joblib  # noqa: PLC0415 - as above

        joblib.dump(model, folder / self.file, compress=3)
