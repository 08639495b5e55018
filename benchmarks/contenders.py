"""Who takes part, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.floor import Floor
from benchmarks.own import Sluicegate

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.contender import Contender

CONTENDERS: Final[dict[str, Callable[[], Contender]]] = {
    "floor": Floor,
    "sluicegate": Sluicegate,
}
