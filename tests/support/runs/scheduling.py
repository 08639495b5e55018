"""A pytest plugin: in which order several workers begin with what."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.workermanage import WorkerController

ALONE = ("tests/node/operator/", "tests/simulation/", "tests/lives/")
"""Folders whose tests share nothing."""


def scope_of(nodeid: str) -> str:
    """Return the scope that one worker runs: a module, whose tests may share products and stories.

    An operator's test on the node, a row of a grid and a life share nothing.
    """
    module, _, _ = nodeid.partition("::")
    return nodeid if module.startswith(ALONE) else module


class ShortestBehind(LoadScopeScheduling):
    """Assigns scopes to workers in the order of collection, the longest first.

    A worker holds one more scope than it runs, and no other takes that over. So the last of the
    queue waits behind a scope that takes longer than what comes next, and not the longest.
    """

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        if not self.assigned_work.get(node):
            super()._assign_work_unit(node)
            return
        places = {scope_of(nodeid): at for at, nodeid in enumerate(self.collection or ())}
        held = next(reversed(self.assigned_work[node]))
        if places[held] < places[next(iter(self.workqueue))]:
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    config.option.loadscopereorder = False
    return ShortestBehind(config, log)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the scope whose longest test takes longest, so that in the end none is left alone.

    How long a test takes, its timeout says; that is for one that hangs, so it leaves time for the
    waits' excuses. Of scopes with the same, the one with most tests that are `slow` comes first: a
    slow test takes as long as a module of others, so none is to be left for the end.
    """
    patience: dict[str, list[int]] = defaultdict(list)
    slow: Counter[str] = Counter()
    for item in items:
        mark = item.get_closest_marker("timeout")
        seconds = int(mark.args[0] if mark else config.getini("timeout"))
        scope = scope_of(item.nodeid)
        patience[scope].append(seconds)
        slow[scope] += item.get_closest_marker("slow") is not None
        item.add_marker(pytest.mark.timeout(2 * seconds), append=False)
    if hasattr(config, "workerinput"):
        order = {scope: (-max(each), -slow[scope], -sum(each)) for scope, each in patience.items()}
        items.sort(key=lambda item: order[scope_of(item.nodeid)])
