"""The API server answers, and says no: to writes that came too late, and to tokens that expired."""

from __future__ import annotations

from tests.support.faults import EVERYTHING, STATUS_WRITES, Answer, Requests
from tests.support.waiting import eventually

CHILDREN = ("deployments", "services", "httproutes")
TIMES = 1
"""Conflicts in a row at each of them; a reconcile meets one, so together they are four in a row."""


def test_conflicts_on_status_and_children_are_observed_and_decided_again(operator, promises):
    conflicts = [STATUS_WRITES] + [
        Requests(methods=("PATCH",), path=rf"/{kind}/[^/]+$") for kind in CHILDREN
    ]
    for requests in conflicts:
        operator.proxy.start(Answer(409, "Conflict"), requests, times=TIMES)
    operator.apply(operator.routed("cars"))
    operator.recovers(what="a product met conflicts at each write", cars=1)
    for requests in conflicts:
        answers = [one.answer for one in operator.proxy.seen(requests)]
        assert answers.count(409) >= TIMES
        assert len(answers) <= 3 * TIMES + 3, answers  # a back-off, not a storm
    promises.check_without_data()


def test_a_token_that_was_replaced_in_its_file_is_read_anew_without_losing_the_lease(
    operator, promises
):
    operator.serve("cars")
    operator.account.rotate()

    def refused() -> bool:
        return any(one.answer == 401 for one in operator.proxy.seen(EVERYTHING))

    eventually(refused, seconds=60, what="the old token is refused")
    operator.apply(operator.routed("cars", serving={"replicas": 2}))
    operator.recovers(what="its token had expired", cars=2)
    assert "leading ends" not in operator.replica.log.read_text()
    promises.check_without_data()
