"""Fields of a scenario that a person wrote: each mistake with its path and a way out, all at once."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final

from sluicegate.errors import Problem
from sluicegate.slo.blocks import Quality
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs

RawCount = tuple[float, float]
"""Bad and total as the file has them: whether they can be counts is for the gates to say."""
PAIR_FIELDS: Final = ("bothRight", "onlyStableWrong", "onlyCandidateWrong", "bothWrong")
QUALITIES: Final[Mapping[str, Quality]] = {
    "LowCoverage": Quality.LOW_COVERAGE,
    "Unavailable": Quality.UNAVAILABLE,
    "Invalid": Quality.INVALID,
}
"""Words for a count that could not be read, in the place of the count."""


class FieldReader:
    """Reads fields and collects what is wrong with them."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, path: str, message: str) -> None:
        """Keep a mistake."""
        self.problems.append(Problem(path, message))

    def mapping(self, value: object, path: str) -> Mapping[str, Any]:
        """A mapping whose keys are names."""
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return value
        self.wrong(path, f"is {shown(value)}, but must be a mapping of names")
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
                self.wrong(join(path, name), f"is not a field: use one of {', '.join(known)}")
        for name in required:
            if name not in fields:
                self.wrong(join(path, name), "is required: set it")
        return fields

    def items(self, value: object, path: str) -> Iterator[tuple[str, object]]:
        """The entries of a list, each with its path; none where the field is left out."""
        if value is None:
            return
        if not isinstance(value, list):
            self.wrong(path, f"is {shown(value)}, but must be a list")
            return
        for place, item in enumerate(value):
            yield f"{path}[{place}]", item

    def text(self, value: object, path: str) -> str:
        """A name."""
        if isinstance(value, str) and value:
            return value
        self.wrong(
            path, f"is {shown(value)}, but must be a name in quotes where it looks like a number"
        )
        return ""

    def second(self, fields: Mapping[str, Any], path: str, name: str = "at") -> int:
        """A moment, in whole seconds; 0 where it is left out."""
        value, where = fields.get(name), join(path, name)
        if name not in fields:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            self.wrong(where, f"is {shown(value)}, but must be a number of seconds")
            return 0
        if value < 0:
            self.wrong(where, f"{value} is negative: time begins at 0")
        if value != int(value):
            self.wrong(where, f"{value} is not a whole number of seconds")
        return int(value)

    def number(self, value: object, path: str) -> float:
        """A number of events."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(path, f"is {shown(value)}, but must be a number of events")
            return 0
        if value < 0:
            self.wrong(path, f"{value} is negative: count events from 0 on")
        elif isfinite(value) and value != int(value):
            self.wrong(path, f"{value} is not a whole number: count events")
        return value

    def counts(self, value: object, path: str, slos: frozenset[str] | None) -> dict[str, RawCount]:
        """Bad and total by SLO."""
        found = {}
        for name, count in self.mapping(value, path).items():
            where = join(path, name)
            if slos and name not in slos:
                known = ", ".join(sorted(slos))
                self.wrong(where, f"is no SLO of the product: it has {known}")
                continue
            fields = self.fields(count, where, ("bad", "total"), ("bad", "total"))
            if {"bad", "total"} <= fields.keys():
                found[name] = (
                    self.number(fields["bad"], join(where, "bad")),
                    self.number(fields["total"], join(where, "total")),
                )
        return found

    def block(
        self, value: object, path: str, slos: frozenset[str] | None
    ) -> dict[str, RawCount | Quality]:
        """Counts of one block, some of which may be a word that says why they are unknown."""
        counts = self.mapping(value, path)
        found: dict[str, RawCount | Quality] = {}
        for name, count in counts.items():
            if isinstance(count, str) and count in QUALITIES and (not slos or name in slos):
                found[name] = QUALITIES[count]
        numbers = {name: count for name, count in counts.items() if name not in found}
        return found | self.counts(numbers, path, slos)

    def evaluation(
        self, value: object, path: str, slos: frozenset[str] | None = None
    ) -> dict[str, Count]:
        """Hold-out counts: no more bad than all. A training may score more than the SLOs."""
        found = {}
        for name, (bad, total) in self.counts({} if value is None else value, path, slos).items():
            if not (isfinite(bad) and isfinite(total)):
                self.wrong(join(path, name), "must hold whole numbers")
            elif bad > total:
                where = f"{join(path, name)}.bad"
                self.wrong(
                    where, f"{bad} is more than total ({total}): bad events are part of all events"
                )
            else:
                found[name] = Count(int(bad), int(total))
        return found

    def pairs(self, value: object, path: str) -> dict[str, Pairs]:
        """The rows of a hold-out by who was right, by SLO."""
        found = {}
        for slo, rows in self.mapping({} if value is None else value, path).items():
            where = join(path, slo)
            fields = self.fields(rows, where, PAIR_FIELDS, PAIR_FIELDS)
            if not fields.keys() >= set(PAIR_FIELDS):
                continue
            counts = [self.number(fields[name], join(where, name)) for name in PAIR_FIELDS]
            if all(isfinite(count) for count in counts):
                found[slo] = Pairs(*map(int, counts))
            else:
                self.wrong(where, "must hold whole numbers")
        return found


def join(path: str, name: str) -> str:
    """The path of a field."""
    return f"{path}.{name}" if path else name


def shown(value: object) -> str:
    """A value as a message has it, on one line."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - one line of a terminal
