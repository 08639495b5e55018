"""Lives that know the truth: what each version is worth, and so what ought to happen.

A life is a value: it follows from its seed, and is reduced by leaving parts of it out. `Course` is
what both kinds share while they are lived: canary_lives.py has one rollout, product_years.py weeks
to a year of one product.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.virtual.operator import SETTINGS, World
from sluicegate.api import names
from sluicegate.kube.resources import Key
from tests.support.lives.judging import Judge
from tests.support.lives.safety import Safety, Violation
from tests.support.lives.worlds import Absences

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.support.lives.worlds import Absence

Body = dict[str, Any]

OUTPUT = "registry.example/bentos/search"
KEY = Key("catalog", "search")
SETTLED = SETTINGS.model_copy(update={"resync_seconds": 86_400.0})


class TrueLife(Protocol):
    """A life with truth."""

    @property
    def seed(self) -> int:
        """What it follows from."""

    def simpler(self) -> Iterator[TrueLife]:
        """The same life without a part."""

    def live(self) -> TrueLived:
        """Live it."""


@dataclass(frozen=True, slots=True)
class TrueLived:
    """How a life with truth went.

    Attributes
    ----------
    violations : what must never be. judged : error rates that it counts for, and whether the error
    happened. outcome : in a word. seconds : of virtual time. checked : rules and how often they
    had something to check. story : what happened, a line each.
    """

    violations: tuple[Violation, ...]
    judged: Mapping[str, bool]
    outcome: str
    seconds: float
    steps: int
    checked: Mapping[str, int]
    story: tuple[str, ...] = ()
    promised: Mapping[str, float] = field(default_factory=dict)
    """How likely an error may be in this life, where that depends on its length."""


@dataclass
class Course:
    """A life with truth while it is lived."""

    world: World
    block: int
    leases: dict[str, float]
    delay_of_approval: float = 0.0
    """Seconds after which a person approves what waits; the weekend isn't counted."""
    judged: dict[str, bool] = field(default_factory=dict)
    story: list[str] = field(default_factory=list)
    _approvals: set[str] = field(default_factory=set)
    _asked: float = 0.0
    _served: str = ""
    _since: float = 0.0
    approval_seconds: float = 0.0
    """Seconds that candidates have waited for a person in all."""

    def __post_init__(self) -> None:
        """Watch what happens."""
        self.safety = Safety(self.world)
        self.absences = Absences(self.world, self.leases)
        self.judge = Judge(self.world, KEY, self.block, self.safety.report, self.is_led)

    def begin(self, document: Body, absences: tuple[Absence, ...]) -> None:
        """Create the product, start a replica, and plan what will be absent."""
        self.world.apply(document)
        self.safety.touch(KEY)
        self.absences.start()
        self.absences.plan(absences)

    def is_led(self) -> bool:
        """Whether an operator that may write is there, and has been for a few blocks."""
        now = self.world.loop.time()
        if self.world.leader() is None or self.absences.is_away("operator"):
            self._since = now
        return now - self._since > 3 * self.block

    @property
    def status(self) -> Body:
        """The product's status."""
        return self.world.status(KEY)

    @property
    def serving(self) -> str:
        """The image that serves; empty without one."""
        return str((self.status.get("stable") or {}).get("image", ""))

    async def pass_time(self, seconds: float, until: Callable[[], bool] = lambda: False) -> bool:
        """Let time pass, block by block, until something holds; say whether it does."""
        end = self.world.loop.time() + seconds
        while self.world.loop.time() < end and not self.safety.found:
            if until():
                return True
            await self.world.run(min(float(self.block), max(end - self.world.loop.time(), 1.0)))
            self.judge.look()
            self._approve()
            self._note()
        return until()

    def say(self, text: str) -> None:
        """Note what happens, for who reads a life that fails."""
        self.story.append(f"{self.world.loop.time() / 3600:8.2f} h  {text}")

    def edit(self, **spec: Any) -> None:
        """Change the spec."""
        self.safety.touch(KEY)
        self.world.edit(KEY, **spec)
        self.safety.touch(KEY)

    def _note(self) -> None:
        status = self.status
        decision = status.get("decision") or {}
        text = f"{decision.get('type')} {decision.get('reason')}: {decision.get('message', '')}"
        if text != self._served:
            self._served = text
            self.say(text[:240])

    def _approve(self) -> None:
        """Approve what waits, after a while."""
        candidate = self.status.get("candidate") or {}
        if candidate.get("phase") != "AwaitingApproval":
            return
        self.approval_seconds += self.block
        name = str(candidate["version"])
        if name in self._approvals:
            return
        self._approvals.add(name)
        self.world.loop.call_later(self.delay_of_approval, self._promote, name)

    def _promote(self, name: str) -> None:
        self._approvals.discard(name)
        candidate = self.status.get("candidate") or {}
        if candidate.get("version") != name:
            return
        now = self.world.loop.time()
        self.safety.touch(KEY)
        self.safety.asked[KEY] = self.safety.approved[KEY] = now
        self.say(f"a person approves {name}")
        self.world.annotate(KEY, **{names.REQUEST_PROMOTE: f"{name}/at-{now:.0f}"})

    def lived(self, outcome: str) -> TrueLived:
        """How it went."""
        return TrueLived(
            tuple(self.safety.found),
            dict(self.judged),
            outcome,
            self.world.loop.time(),
            self.world.steps,
            dict(self.judge.checked),
            tuple(self.story),
        )


def reduced(life: TrueLife, still: Callable[[TrueLife], bool], *, most: int = 25) -> TrueLife:
    """Leave out parts while the same still happens; live at most so often."""
    lives, shorter = 0, True
    while shorter:
        shorter = False
        for one in life.simpler():
            lives += 1
            if lives > most:
                return life
            if still(one):
                life, shorter = one, True
                break
    return life


def report_of(life: TrueLife, lived: TrueLived, command: str, *, most: int = 25) -> str:
    """The violation, and the life reduced to what it takes."""
    first = lived.violations[0]
    last = [lived]

    def still(shorter: TrueLife) -> bool:
        again = shorter.live()
        holds = any(violation.name == first.name for violation in again.violations)
        if holds:
            last[:] = [again]
        return holds

    short = reduced(life, still, most=most)
    story = "\n".join(last[0].story[-40:])
    return f"{last[0].violations[0]}\n{short}\n{story}\nagain: {command}"
