"""What takes longest begins first, and what waits behind it is short."""

from types import SimpleNamespace

from tests.support.runs.scheduling import ShortestBehind

TESTS = [f"tests/lives/test_lives.py::test_life[{number}]" for number in range(6)]
"""Each shares nothing with the others; the longest is first."""


class Worker:
    """Runs what it is given, in that order."""

    shutting_down = False
    gateway = SimpleNamespace(id="gw")

    def __init__(self) -> None:
        self.given: list[int] = []

    def send_runtest_some(self, indexes: list[int]) -> None:
        self.given += indexes

    def shutdown(self) -> None:
        self.shutting_down = True


def test_the_shortest_wait_behind_the_longest():
    option = SimpleNamespace(loadscopereorder=False)
    config = SimpleNamespace(option=option, getvalue=lambda _: ["2*popen"])
    scheduler, workers = ShortestBehind(config), (Worker(), Worker())
    for worker in workers:
        scheduler.add_node(worker)
    for worker in workers:
        scheduler.add_node_collection(worker, TESTS)
    scheduler.schedule()
    first, second = workers
    assert (first.given, second.given) == ([0, 5], [1, 4])
    scheduler.mark_test_complete(first, 0)
    scheduler.mark_test_complete(first, 5)
    assert (first.given, second.given) == ([0, 5, 2, 3], [1, 4]), "the next longest comes soon"
