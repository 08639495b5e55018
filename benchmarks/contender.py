"""What a controller must say of itself to be measured beside the others.

A contender only describes: which objects a user would apply, which process serves them, how
one sees in an object that it is ready or promoted. The harness (`benchmarks.harness`) does the
rest for everyone alike and from outside: it applies the objects, watches them, counts requests
in the API server's audit log by the contender's user, and reads memory and CPU from /proc. So
no figure rests on what a contender reports of itself.
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
    """Who is measured, and what a reader has to know before comparing.

    Attributes
    ----------
    name
        Lower-case word: the key in the JSON output, and the user in the audit log.
    version
        As released, e.g. "1.44.0".
    makes
        What it makes for one object, in words: "1 Deployment, 2 Services, 1 HTTPRoute".
    not_comparable
        Sentences, each a difference that makes a figure look better or worse than it is.
    scenarios
        Those that mean something for it, out of `benchmarks.sluicegate_contender.SCENARIOS`.
    settle_seconds
        How long after serving it has something new to say: the steady state begins after that.
    late_seconds
        How long after a promotion it may still write of it.
    """

    name: str
    version: str
    makes: str
    not_comparable: tuple[str, ...] = ()
    scenarios: tuple[str, ...] = ("cold", "steady", "restart", "promotions")
    settle_seconds: float = 0.0
    late_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Product:
    """One of the things that a contender serves; names are the same for all contenders.

    Attributes
    ----------
    number
        Counts from 0 within its group.
    quick
        It takes part in a wave: its steps and blocks should be as short as the contender can.
        The N others live through the whole run as they would in a company.
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
    """What the harness has set up when it asks a contender for its command.

    Attributes
    ----------
    plane
        etcd, API server, controllers, scheduler and kwok; with the CRDs of `prepare`.
    kubeconfig
        Of the contender's own user, who may do everything. Its requests are told by that user,
        so the contender must use no other credentials.
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
    """A controller that is measured. Everything but `prepare` is pure and fast."""

    @property
    def description(self) -> Description:
        """Who it is."""

    @property
    def observed(self) -> str:
        """Path of the collection, of all namespaces, in which readiness shows.

        E.g. "/apis/flagger.app/v1beta1/canaries". Every product has exactly one object there,
        with the product's namespace and name.
        """

    def prepare(self, plane: ControlPlane) -> None:
        """Install CRDs and whatever the controller needs once; isn't timed."""

    def program(self, surroundings: Surroundings) -> Program:
        """How to start one replica. It must end by itself after SIGTERM."""

    def objects(self, product: Product) -> Sequence[Body]:
        """What a user applies for a new product, in this order; with namespace and name."""

    def changes(self, product: Product) -> Sequence[Body]:
        """What a user applies to bring a second version of it; whole objects again.

        Three steps to promotion, as near as the contender can to 5, 25 and 50 %.
        """

    def hurried(self) -> Contender:
        """With products whose judgements a run of minutes can see; itself, if those as usual do.

        The cold start is measured with products as usual, everything after it with these.
        """

    def ideal_promotion_seconds(self) -> float:
        """The sum of the waits that the objects ask for, as if the controller took no time."""

    def is_ready(self, body: Body) -> bool:
        """Whether an object of `observed` says that its product serves."""

    def is_promoted(self, body: Body) -> bool:
        """Whether it says that the version of `changes` serves everyone, and is done."""
