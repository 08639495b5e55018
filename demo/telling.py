"""Polls both products, reports changes, and waits for the next stage."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cluster.apiclient import Api
from demo.answers import Recent, Snapshot
from demo.errors import DemoError
from demo.report import Level
from demo.samples import SAMPLES, Object, Sample
from demo.terminal import Row, Terminal, clock
from demo.watch import ProductState, look, news, percent

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cluster.backend import Backend
    from demo.traffic import Senders

LOOK_SECONDS = 0.5
LEVEL_SECONDS = 2.5


class StageMissedError(DemoError):
    """What a stage expects didn't come in time, or something else came."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known at one moment; `at` in seconds since the story began."""

    at: float
    states: Mapping[Sample, ProductState]
    snapshots: Mapping[Sample, Snapshot]
    recent: Mapping[Sample, Recent]

    def judged(self, sample: Sample) -> int:
        """Return predictions of a product whose truth is known."""
        none = Snapshot(0.0)
        return self.snapshots.get(sample, none).since(none).judged


def nothing() -> None:
    """Do nothing, as the operator begins most stages itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of a story.

    Attributes
    ----------
    expects : what is waited for, as a clause.
    seconds : how long at most.
    reached : whether a scene shows it.
    spoiled : why it will never come; empty while it may.
    begin : what brings it about, where that isn't the operator's business.
    """

    name: str
    expects: str
    seconds: float
    reached: Callable[[Scene], bool]
    spoiled: Callable[[Scene], str] = lambda _: ""
    begin: Callable[[], None] = nothing


@dataclass(slots=True)
class Telling:
    """A story while it runs."""

    backend: Backend
    terminal: Terminal
    began: float = field(default_factory=time.monotonic)
    senders: Senders | None = None
    moments: dict[str, Scene] = field(default_factory=dict)
    rows: list[Row] = field(default_factory=list)
    levels: list[Level] = field(default_factory=list)
    _api: Api | None = None
    _seen: dict[Sample, ProductState] = field(default_factory=dict)
    _recent: dict[Sample, Recent] = field(
        default_factory=lambda: {sample: Recent() for sample in SAMPLES}
    )

    def read(self, sample: Sample) -> Object:
        """Return a product as it is."""
        if self._api is None:
            self._api = Api(self.backend.kubeconfig)
        return dict(self._api.get(sample.url))

    def until(self, stage: Stage) -> Scene:
        """Report events until a stage is reached; return its scene.

        Raises
        ------
        StageMissedError
            It wasn't reached in time, or can't be any more.
        """
        stage.begin()
        deadline = time.monotonic() + stage.seconds
        while not stage.reached(scene := self.scene()):
            if why := stage.spoiled(scene):
                raise StageMissedError(f"expected {stage.expects}, but {why}")
            if time.monotonic() > deadline:
                raise StageMissedError(
                    f"expected {stage.expects} within {stage.seconds:.0f} s, but saw"
                    f" {described(scene)}"
                )
            self.terminal.live(f"{clock(scene.at)}  {described(scene)}")
            time.sleep(LOOK_SECONDS)
        self.moments[stage.name] = scene
        return scene

    def scene(self) -> Scene:
        """Read both products once, and report changes."""
        snapshots = self.senders.snapshot() if self.senders else {}
        for sample, snapshot in snapshots.items():
            self._recent[sample].add(snapshot)
        at = time.monotonic() - self.began
        for sample in SAMPLES:
            now = look(self.read(sample))
            # What was there when the telling began isn't news.
            for text in news(self._seen.get(sample, now), now):
                self._report(at, sample, now, text)
            self._seen[sample] = now
            if sample in snapshots:
                self._level(at, sample)
        return Scene(at, dict(self._seen), snapshots, self._recent)

    def _level(self, at: float, sample: Sample) -> None:
        """Note the accuracy of a product, each so often."""
        times = (one.at for one in reversed(self.levels) if one.product == sample.name)
        accuracy = self._recent[sample].counts().accuracy
        if accuracy is not None and at - next(times, 0.0) >= LEVEL_SECONDS:
            self.levels.append(Level(at, sample.name, accuracy))

    def note(self, product: str, text: str) -> None:
        """Add a row about an action of a person."""
        self._row(Row(time.monotonic() - self.began, product, "", text))

    def _report(self, at: float, sample: Sample, now: ProductState, text: str) -> None:
        accuracy = self._recent[sample].counts().accuracy
        self._row(Row(at, sample.name, now.state, text, accuracy, now.baseline))

    def _row(self, row: Row) -> None:
        self.rows.append(row)
        self.terminal.row(row)


def described(scene: Scene) -> str:
    """Return both products in one line."""
    parts = []
    for sample, state in scene.states.items():
        accuracy = percent(scene.recent[sample].counts().accuracy)
        canary = f" {state.candidate}@{state.weight}" if state.candidate else ""
        training = " training" if state.training.trigger else ""
        line = f"{sample.name} {state.state or 'not served yet'} {state.stable}{canary}{training}"
        parts.append(f"{line}, accuracy {accuracy}{f' ({state.problem})' if state.problem else ''}")
    failed = sum(one.failed for one in scene.snapshots.values())
    return f"{' | '.join(parts)} | {failed} requests failed"
