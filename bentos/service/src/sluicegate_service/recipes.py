"""A recipe's base class for models that joblib can store, as scikit-learn's are."""

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
    """Where the model lies in a source folder."""
    model_type: ClassVar[type] = object
    """What the stored model has to be."""

    @property
    def source(self) -> Path:
        """The folder that the bento is built of: where the module of the recipe lies."""
        return Path(sys.modules[type(self).__module__].__file__ or "").resolve().parent

    def fit(self, *, lighter: bool) -> Any:
        """Train on the data of now; a lighter model when the one before was too slow."""
        raise NotImplementedError(f"{type(self).__name__}.fit isn't written")

    def evaluate(self, model: Any, *, lighter: bool) -> Evaluation:
        """Score a model on the hold-out, the same rows for both models of a training."""
        raise NotImplementedError(f"{type(self).__name__}.evaluate isn't written")

    def load(self, folder: Path) -> Any:
        """The model that lies in a source folder."""
        import joblib  # noqa: PLC0415 - in the runtime image, not with each service

        model = joblib.load(folder / self.file)
        if not isinstance(model, self.model_type):
            found, wanted = type(model).__name__, self.model_type.__name__
            raise TrainingError(f"{folder / self.file} holds a {found}, and {wanted} is wanted")
        return model

    def save(self, model: Any, folder: Path) -> None:
        """Lay a model into a source folder."""
        import joblib  # noqa: PLC0415 - as above

        joblib.dump(model, folder / self.file, compress=3)
