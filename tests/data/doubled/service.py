"""A service as many exist: one prediction a request, and not a line of Sluicegate's library."""

from typing import Any

import bentoml


@bentoml.service(name="Doubled", workers=1)
class Doubled:
    """Answers with twice a number."""

    @bentoml.api(route="/double")
    def double(self, number: int, order: str = "") -> dict[str, Any]:
        return {"result": {"double": 2 * number}, "order": order}
