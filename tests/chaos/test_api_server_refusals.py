"""The API server answers, and says no: to a token that expired."""

from __future__ import annotations

from tests.support.failures.faults import EVERYTHING
from tests.support.waiting import eventually


def test_a_rotated_token_is_read_from_its_file_without_losing_the_lease(operator, promises):
    operator.serve("cars")
    operator.account.rotate()

    def refused() -> bool:
        return any(one.answer == 401 for one in operator.proxy.matching(EVERYTHING))

    eventually(refused, seconds=60, what="the old token is refused")
    operator.apply(operator.routed("cars", serving={"replicas": 2}))
    operator.recovers(what="its token had expired", cars=2)
    assert "leading ends" not in operator.replica.log.read_text()
    promises.check_without_data()
