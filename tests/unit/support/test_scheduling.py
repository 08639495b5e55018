"""What takes longest begins first, and what waits behind it is short."""

from types import SimpleNamespace

from tests.support.runs.scheduling import ShortestBehind, pytest_collection_modifyitems

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


def test_tests_are_scheduled_longest_first():
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


def test_a_module_with_one_slow_test_is_scheduled_before_one_with_many_fast_tests():
    class Item:
        def __init__(self, nodeid: str, **marks: int) -> None:
            self.nodeid, self.marks = nodeid, marks

        def get_closest_marker(self, name: str) -> object:
            return SimpleNamespace(args=(self.marks[name],)) if name in self.marks else None

        def add_marker(self, *_: object, **__: object) -> None:
            """What is added isn't asked for."""

    many = [Item(f"tests/unit/test_many.py::test_{number}") for number in range(3)]
    story = Item("tests/unit/test_story.py::test_a_day", slow=1)
    patient = Item("tests/unit/test_patient.py::test_a_month", timeout=600)
    items = [*many, story, patient]
    config = SimpleNamespace(workerinput={}, getini=lambda _: "120")
    pytest_collection_modifyitems(config, items)
    assert items == [patient, story, *many]
