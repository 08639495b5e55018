"""All contenders by name."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.baseline_client import Floor
from benchmarks.peers import argo_rollouts, flagger
from benchmarks.peers.argo_rollouts import ArgoRollouts
from benchmarks.peers.flagger import Flagger
from benchmarks.sluicegate_contender import Sluicegate

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.contender import Contender

CONTENDERS: Final[dict[str, Callable[[], Contender]]] = {
    "floor": Floor,
    "sluicegate": Sluicegate,
    "flagger": Flagger,
    "flagger-tuned": partial(Flagger, flagger.TUNED),
    "argo-rollouts": ArgoRollouts,
    "argo-rollouts-tuned": partial(ArgoRollouts, argo_rollouts.TUNED),
}
