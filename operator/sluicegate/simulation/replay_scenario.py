"""A scenario to replay: a product and a history of counts, checked field by field.

A mistake is told by its path and with a way out, all mistakes at once, as a person writes these
files by hand.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, Final

from sluicegate.api.errors import InvalidProduct
from sluicegate.api.names import DecisionReason as Reason
from sluicegate.api.product import DataProduct
from sluicegate.errors import InvalidInput, Problem
from sluicegate.slo.client_errors import CLIENT_ERRORS
from sluicegate.stats.counts import Count

UNAVAILABLE: Final = (Reason.PROMETHEUS_UNAVAILABLE, Reason.PROMETHEUS_STALE, Reason.BACKFILLING)
"""Why a block may be unavailable."""

CLIENT_ERRORS_FIELD: Final = "clientErrors"
"""Among a version's counts: requests answered 4xx, of all requests; optional, as no SLO."""

RawCount = tuple[float, float]
"""Bad and total as the file has them: whether they can be counts is for the gates to say."""


@dataclass(frozen=True, slots=True)
class ReplayBlock:
    """One block of the file.

    Attributes
    ----------
    at : its end, in seconds. counts : by version and SLO, client errors under their own name.
    coverage : share of the expected scrapes; None when not given.
    unavailable : why it couldn't be read; None when it could.
    """

    at: int
    counts: Mapping[str, Mapping[str, RawCount]] = field(default_factory=dict)
    coverage: float | None = None
    unavailable: Reason | None = None


@dataclass(frozen=True, slots=True)
class Retrained:
    """A training ended with a version."""

    version: str
    evaluation: Mapping[str, Count]
    stable_evaluation: Mapping[str, Count]


@dataclass(frozen=True, slots=True)
class RetrainingFailed:
    """A training ended without one."""

    message: str


@dataclass(frozen=True, slots=True)
class ModelChanged:
    """spec.model names another version."""

    version: str
    evaluation: Mapping[str, Count]


Event = Retrained | RetrainingFailed | ModelChanged


@dataclass(frozen=True, slots=True)
class FactsChange:
    """Facts that hold from now on; None leaves one as it was."""

    upstream_degraded: tuple[str, ...] | None
    pods_unhealthy: bool | None
    node_busy: bool | None


@dataclass(frozen=True, slots=True)
class ReplayScenario:
    """A product, the version that is stable at time 0, and what happens.

    Attributes
    ----------
    accepted : evaluation counts of that version, by SLO.
    facts, events : with the second from which they hold, in time order.
    """

    product: DataProduct
    version: str
    accepted: Mapping[str, Count]
    blocks: tuple[ReplayBlock, ...]
    facts: tuple[tuple[int, FactsChange], ...]
    events: tuple[tuple[int, Event], ...]


def parse_scenario(document: object) -> ReplayScenario:
    """The scenario in a parsed YAML or JSON document. Raises InvalidInput with all mistakes."""
    reader = _Reader()
    scenario = _scenario(reader, document)
    if reader.problems or scenario is None:
        raise InvalidInput(reader.problems)
    return scenario


class _Reader:
    """Reads fields and collects what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, path: str, message: str) -> None:
        self.problems.append(Problem(path, message))

    def mapping(self, value: object, path: str) -> Mapping[str, Any]:
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return value
        self.wrong(path, f"is {_shown(value)}, but must be a mapping of names")
        return {}

    def fields(
        self, value: object, path: str, known: tuple[str, ...], required: tuple[str, ...] = ()
    ) -> Mapping[str, Any]:
        """A mapping with these fields and no others."""
        before = len(self.problems)
        fields = self.mapping(value, path)
        if len(self.problems) > before:
            return {}
        for name in fields:
            if name not in known:
                self.wrong(_join(path, name), f"is not a field: use one of {', '.join(known)}")
        for name in required:
            if name not in fields:
                self.wrong(_join(path, name), "is required: set it")
        return fields

    def items(self, value: object, path: str) -> Iterator[tuple[str, object]]:
        if value is None:
            return
        if not isinstance(value, list):
            self.wrong(path, f"is {_shown(value)}, but must be a list")
            return
        for place, item in enumerate(value):
            yield f"{path}[{place}]", item

    def text(self, value: object, path: str) -> str:
        if isinstance(value, str) and value:
            return value
        self.wrong(
            path, f"is {_shown(value)}, but must be a name in quotes where it looks like a number"
        )
        return ""

    def second(self, fields: Mapping[str, Any], path: str) -> int:
        value = fields.get("at")
        if "at" not in fields:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            self.wrong(_join(path, "at"), f"is {_shown(value)}, but must be a number of seconds")
            return 0
        if value < 0:
            self.wrong(_join(path, "at"), f"{value} is negative: time begins at 0")
        if value != int(value):
            self.wrong(_join(path, "at"), f"{value} is not a whole number of seconds")
        return int(value)

    def number(self, value: object, path: str) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(path, f"is {_shown(value)}, but must be a number of events")
            return 0
        if value < 0:
            self.wrong(path, f"{value} is negative: count events from 0 on")
        elif isfinite(value) and value != int(value):
            self.wrong(path, f"{value} is not a whole number: count events")
        return value

    def counts(self, value: object, path: str, slos: frozenset[str] | None) -> dict[str, RawCount]:
        found = {}
        for name, count in self.mapping(value, path).items():
            where = _join(path, name)
            if slos and name not in slos:
                known = ", ".join(sorted(slos))
                self.wrong(where, f"is no SLO of the product: it has {known}")
                continue
            fields = self.fields(count, where, ("bad", "total"), ("bad", "total"))
            if {"bad", "total"} <= fields.keys():
                found[name] = (
                    self.number(fields["bad"], _join(where, "bad")),
                    self.number(fields["total"], _join(where, "total")),
                )
        return found

    def evaluation(
        self, value: object, path: str, slos: frozenset[str] | None = None
    ) -> dict[str, Count]:
        """Hold-out counts: no more bad than all. A training may score more than the SLOs."""
        found = {}
        for name, (bad, total) in self.counts({} if value is None else value, path, slos).items():
            if not (isfinite(bad) and isfinite(total)):
                self.wrong(_join(path, name), "must hold whole numbers")
            elif bad > total:
                where = f"{_join(path, name)}.bad"
                self.wrong(
                    where, f"{bad} is more than total ({total}): bad events are part of all events"
                )
            else:
                found[name] = Count(int(bad), int(total))
        return found


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _shown(value: object) -> str:
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - one line of a terminal


def _scenario(reader: _Reader, document: object) -> ReplayScenario | None:
    known = ("product", "version", "accepted", "blocks", "facts", "events")
    if not isinstance(document, Mapping):
        reader.wrong(
            "", f"a scenario is a mapping with {', '.join(known)}; this is {_shown(document)}"
        )
        return None
    top = reader.fields(document, "", known, ("product", "version", "blocks"))
    product = _product(reader, top.get("product"))
    slos = frozenset(slo.name for slo in product.spec.slos) if product else frozenset[str]()
    if product is not None and not slos:
        reader.wrong("product.spec.slos", "is empty: set an SLO, or there is nothing to judge")
    version = reader.text(top["version"], "version") if "version" in top else ""
    accepted = reader.evaluation(top.get("accepted"), "accepted", slos)
    blocks = _blocks(reader, top.get("blocks"), slos)
    facts = [_fact(reader, fact, path) for path, fact in reader.items(top.get("facts"), "facts")]
    events = [
        entry
        for path, event in reader.items(top.get("events"), "events")
        for entry in _events(reader, event, path)
    ]
    if product is None:
        return None
    return ReplayScenario(
        product,
        version,
        accepted,
        tuple(blocks),
        tuple(sorted(facts, key=_when)),
        tuple(sorted(events, key=_when)),
    )


def _when(entry: tuple[int, object]) -> int:
    return entry[0]


def _product(reader: _Reader, value: object) -> DataProduct | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        reader.wrong("product", f"is {_shown(value)}, but must be a whole DataProduct")
        return None
    try:
        return DataProduct.parse(value)
    except InvalidProduct as error:
        reader.problems += [
            Problem(_join("product", problem.path) if problem.path else "product", problem.message)
            for problem in error.problems
        ]
        return None


def _blocks(reader: _Reader, value: object, slos: frozenset[str] | None) -> list[ReplayBlock]:
    blocks: list[ReplayBlock] = []
    for path, item in reader.items(value, "blocks"):
        fields = reader.fields(item, path, ("at", "counts", "coverage", "unavailable"), ("at",))
        block = ReplayBlock(
            reader.second(fields, path),
            {
                version: _arm(reader, counts, _join(f"{path}.counts", version), slos)
                for version, counts in _versions(reader, fields, path)
            },
            _coverage(reader, fields, path),
            _unavailable(reader, fields, path),
        )
        if "at" in fields and block.at == 0:
            reader.wrong(f"{path}.at", "0 is the start: a block's at is its end, so it is above 0")
        if blocks and block.at <= blocks[-1].at:
            message = (
                f"{block.at} is not after the block before it ({blocks[-1].at}): sort blocks by at"
            )
            reader.wrong(f"{path}.at", message)
        blocks.append(block)
    return blocks


def _arm(
    reader: _Reader, value: object, path: str, slos: frozenset[str] | None
) -> dict[str, RawCount]:
    """The counts of a version by SLO, and its client errors where the file has them."""
    counts = reader.mapping(value, path)
    others = {name: count for name, count in counts.items() if name != CLIENT_ERRORS_FIELD}
    found = reader.counts(others, path, slos)
    if CLIENT_ERRORS_FIELD in counts:
        errors = {CLIENT_ERRORS_FIELD: counts[CLIENT_ERRORS_FIELD]}
        for count in reader.counts(errors, path, None).values():
            found[CLIENT_ERRORS] = count
    return found


def _versions(
    reader: _Reader, fields: Mapping[str, Any], path: str
) -> Iterator[tuple[str, object]]:
    if fields.get("counts") is not None:
        yield from reader.mapping(fields["counts"], f"{path}.counts").items()


def _coverage(reader: _Reader, fields: Mapping[str, Any], path: str) -> float | None:
    value = fields.get("coverage")
    if value is None:
        return None
    try:
        share = float("nan") if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        share = float("nan")
    if not 0 <= share <= 1:
        reader.wrong(f"{path}.coverage", f'is {_shown(value)}, but must be a share from "0" to "1"')
        return None
    return share


def _unavailable(reader: _Reader, fields: Mapping[str, Any], path: str) -> Reason | None:
    value = fields.get("unavailable")
    if value is None:
        return None
    if value not in UNAVAILABLE:
        reader.wrong(
            f"{path}.unavailable", f"is {_shown(value)}: use one of {', '.join(UNAVAILABLE)}"
        )
        return None
    return Reason(value)


def _fact(reader: _Reader, value: object, path: str) -> tuple[int, FactsChange]:
    known = ("at", "upstreamDegraded", "podsUnhealthy", "nodeBusy")
    fields = reader.fields(value, path, known, ("at",))
    upstream = fields.get("upstreamDegraded")
    names = None
    if upstream is not None:
        listed = reader.items(upstream, f"{path}.upstreamDegraded")
        names = tuple(reader.text(name, where) for where, name in listed)
    unhealthy, busy = (
        _truth(reader, fields, path, name=name) for name in ("podsUnhealthy", "nodeBusy")
    )
    return reader.second(fields, path), FactsChange(names, unhealthy, busy)


def _truth(reader: _Reader, fields: Mapping[str, object], path: str, *, name: str) -> bool | None:
    value = fields.get(name)
    if value is None or isinstance(value, bool):
        return value
    reader.wrong(f"{path}.{name}", f"is {_shown(value)}, but must be true or false")
    return None


def _events(reader: _Reader, value: object, path: str) -> list[tuple[int, Event]]:
    known = ("at", *_EVENTS)
    fields = reader.fields(value, path, known, ("at",))
    kinds = [kind for kind in _EVENTS if kind in fields]
    if fields and len(kinds) != 1:
        reader.wrong(path, f"must hold exactly one of {', '.join(_EVENTS)}")
    at = reader.second(fields, path)
    return [(at, _EVENTS[kind](reader, fields[kind], _join(path, kind))) for kind in kinds]


def _retrained(reader: _Reader, value: object, path: str) -> Event:
    known = ("version", "evaluation", "stableEvaluation")
    fields = reader.fields(value, path, known, ("version",))
    return Retrained(
        reader.text(fields["version"], f"{path}.version") if "version" in fields else "",
        reader.evaluation(fields.get("evaluation"), f"{path}.evaluation"),
        reader.evaluation(fields.get("stableEvaluation"), f"{path}.stableEvaluation"),
    )


def _retraining_failed(reader: _Reader, value: object, path: str) -> Event:
    fields = reader.fields(value or {}, path, ("message",))
    message = fields.get("message")
    return RetrainingFailed("" if message is None else str(message))


def _model_changed(reader: _Reader, value: object, path: str) -> Event:
    fields = reader.fields(value, path, ("version", "evaluation"), ("version",))
    return ModelChanged(
        reader.text(fields["version"], f"{path}.version") if "version" in fields else "",
        reader.evaluation(fields.get("evaluation"), f"{path}.evaluation"),
    )


_EVENTS: Final[Mapping[str, Callable[[_Reader, object, str], Event]]] = {
    "retrained": _retrained,
    "retrainingFailed": _retraining_failed,
    "modelChanged": _model_changed,
}
