"""Interface of a contender: the description that the harness needs of a controller.

A contender only describes the objects that a user would apply, the process that serves them, and
when an object is ready or promoted. The harness (`benchmarks.harness`) does the rest in the same
way for all and from outside: it applies the objects, watches them, counts requests in the API
server's audit log by the contender's user, and reads memory and CPU from /proc. So no figure
depends on a report of the contender itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from cluster.controlplane import ControlPlane

Body = dict[str, Any]
"""An object of the API server as parsed JSON."""


@dataclass(frozen=True, slots=True)
class Description:
    """Name and version of a contender, and limits of the comparison.

    Attributes
    ----------
    name
        Lower-case word: the key in the JSON output, and the user in the audit log.
    version
        As released, e.g. "1.44.0".
    makes
        Objects that it creates for one product, in words: "1 Deployment, 2 Services, 1 HTTPRoute".
    not_comparable
        Sentences, each a difference that makes a figure look better or worse than it is.
    scenarios
        Applicable scenarios of `benchmarks.sluicegate_contender.SCENARIOS`.
    settle_seconds
        Seconds after serving in which its status still changes: the steady state begins after that.
    late_seconds
        Seconds after a promotion in which it may still write.
    programs
        What it needs of `cluster.builds`: built before the first measurement of all.
    """

    name: str
    version: str
    makes: str
    not_comparable: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ("cold", "steady", "restart", "promotions")
    settle_seconds: float = 0.0
    late_seconds: float = 0.0
    programs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Product:
    """A product that a contender serves; names are the same for all contenders.

    Attributes
    ----------
    number
        Counts from 0 within its group.
    quick
        Whether it is part of a wave: its steps and blocks should be as short as possible.
        The N others have realistic settings during the whole run.
    """

    namespace: str
    name: str
    number: int
    quick: bool = False

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return self.namespace, self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Environment of a contender, prepared by the harness.

    Attributes
    ----------
    plane
        etcd, API server, controllers, scheduler and kwok; with the CRDs of `prepare`.
    kubeconfig
        That of the contender's own user, who may do everything. Its requests are identified by that
        user, so the contender must use no other credentials.
    folder
        For files of this contender; its output is written there too.
    namespaces
        Those of the products; they exist.
    prometheus
        URL of the stand-in, which answers our queries by `benchmarks.measurements` and those of
        the peers by `benchmarks.peers.answers`.
    metrics_port
        A free port on loopback, for the contender's own metrics.
    """

    plane: ControlPlane
    kubeconfig: Path
    folder: Path
    namespaces: tuple[str, ...]
    prometheus: str
    metrics_port: int


@dataclass(frozen=True, slots=True)
class Program:
    """A command line; `environment` is added to the harness's own."""

    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class Contender(Protocol):
    """A controller that is measured. All methods but `prepare` are pure and fast."""

    @property
    def description(self) -> Description:
        """Name and version."""

    @property
    def observed(self) -> str:
        """Path of the collection, of all namespaces, that shows readiness.

        E.g. "/apis/flagger.app/v1beta1/canaries". Every product has exactly one object there,
        with the product's namespace and name.
        """

    def prepare(self, plane: ControlPlane) -> None:
        """Install CRDs and other prerequisites once; isn't timed."""

    def program(self, surroundings: Surroundings) -> Program:
        """Return the command of one replica. It must end after SIGTERM."""

    def objects(self, product: Product) -> Sequence[Body]:
        """Return the objects that a user applies for a new product, in this order; with namespace and name."""

    def changes(self, product: Product) -> Sequence[Body]:
        """Return the objects that a user applies for a second version; whole objects again.

        It is promoted in three steps, as near as possible to 5, 25 and 50 %.
        """

    def hurried(self) -> Contender:
        """Return a contender whose evaluations fit into a run of minutes; itself, if they do already.

        The cold start is measured with realistic products, all other scenarios with these.
        """

    def ideal_promotion_seconds(self) -> float:
        """Return the sum of the waits in the objects, as if the controller took no time."""

    def is_ready(self, body: Body) -> bool:
        """Return whether an object of `observed` shows that its product serves."""

    def is_promoted(self, body: Body) -> bool:
        """Return whether it shows that the version of `changes` receives all requests."""
