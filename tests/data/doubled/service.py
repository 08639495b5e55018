"""A service as many exist: one prediction a request, and not a line of Sluicegate's library."""

from typing import Any

import bentoml


@bentoml.service(name="Doubled", workers=1)
class Doubled:
    """Answers with twice a number."""

    @bentoml.api(route="/double")
    def double(self, number: int, order: str = "") -> dict[str, Any]:
        double = 2 * number
        with bentoml.monitor("doubles") as monitor:
            monitor.log(number, name="number", role="feature", data_type="numerical")
            monitor.log(order, name="order", role="feature", data_type="categorical")
            monitor.log(double, name="double", role="prediction", data_type="numerical")
        return {"result": {"double": double}, "order": order}
