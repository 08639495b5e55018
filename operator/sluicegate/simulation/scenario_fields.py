"""Reader of a scenario's fields that collects all mistakes, each with its path and a way out."""

from collections.abc import Iterator, Mapping
from math import isfinite
from typing import Any, Final

from sluicegate.errors import Problem
from sluicegate.slo.blocks import Quality
from sluicegate.stats.counts import Count
from sluicegate.stats.paired import Pairs

RawCount = tuple[float, float]
"""Bad and total events of the file, not yet checked."""
PAIR_FIELDS: Final = ("bothRight", "onlyStableWrong", "onlyCandidateWrong", "bothWrong")
QUALITY_BY_NAME: Final[Mapping[str, Quality]] = {
    "LowCoverage": Quality.LOW_COVERAGE,
    "Unavailable": Quality.UNAVAILABLE,
    "Invalid": Quality.INVALID,
}
"""Words instead of a count that could not be read."""


class FieldReader:
    """Reader of fields that collects their mistakes."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []

    def wrong(self, path: str, message: str) -> None:
        """Add a problem at a path of the file."""
        self.problems.append(Problem(path, message))

    def mapping(self, value: object, path: str) -> Mapping[str, Any]:
        """Read a mapping whose keys are names."""
        if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
            return value
        self.wrong(path, f"is {quoted_value(value)}, but must be a mapping of names")
        return {}

    def fields(
        self, value: object, path: str, names: tuple[str, ...], required_names: tuple[str, ...] = ()
    ) -> Mapping[str, Any]:
        """Read a mapping that may have only these fields."""
        problems_before = len(self.problems)
        fields = self.mapping(value, path)
        if len(self.problems) > problems_before:
            return {}
        for name in fields:
            if name not in names:
                self.wrong(join_path(path, name), f"is not a field: use one of {', '.join(names)}")
        for name in required_names:
            if name not in fields:
                self.wrong(join_path(path, name), "is required: set it")
        return fields

    def items(self, value: object, path: str) -> Iterator[tuple[str, object]]:
        """Yield the entries of a list, each with its path; none if the field is missing."""
        if value is None:
            return
        if not isinstance(value, list):
            self.wrong(path, f"is {quoted_value(value)}, but must be a list")
            return
        for item_index, item in enumerate(value):
            yield f"{path}[{item_index}]", item

    def text(self, value: object, path: str) -> str:
        """Read a name."""
        if isinstance(value, str) and value:
            return value
        self.wrong(
            path,
            f"is {quoted_value(value)}, but must be a name in quotes where it looks like a number",
        )
        return ""

    def second(self, fields: Mapping[str, Any], path: str, name: str = "at") -> int:
        """Read a time in whole seconds; 0 if it is missing."""
        value, value_path = fields.get(name), join_path(path, name)
        if name not in fields:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
            self.wrong(value_path, f"is {quoted_value(value)}, but must be a number of seconds")
            return 0
        if value < 0:
            self.wrong(value_path, f"{value} is negative: time begins at 0")
        if value != int(value):
            self.wrong(value_path, f"{value} is not a whole number of seconds")
        return int(value)

    def number(self, value: object, path: str) -> float:
        """Read a number of events."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(path, f"is {quoted_value(value)}, but must be a number of events")
            return 0
        if value < 0:
            self.wrong(path, f"{value} is negative: count events from 0 on")
        elif isfinite(value) and value != int(value):
            self.wrong(path, f"{value} is not a whole number: count events")
        return value

    def counts(self, value: object, path: str, slos: frozenset[str] | None) -> dict[str, RawCount]:
        """Read bad and total by SLO."""
        result = {}
        for name, count in self.mapping(value, path).items():
            value_path = join_path(path, name)
            if slos and name not in slos:
                names = ", ".join(sorted(slos))
                self.wrong(value_path, f"is no SLO of the product: it has {names}")
                continue
            fields = self.fields(count, value_path, ("bad", "total"), ("bad", "total"))
            if {"bad", "total"} <= fields.keys():
                result[name] = (
                    self.number(fields["bad"], join_path(value_path, "bad")),
                    self.number(fields["total"], join_path(value_path, "total")),
                )
        return result

    def block(
        self, value: object, path: str, slos: frozenset[str] | None
    ) -> dict[str, RawCount | Quality]:
        """Read the counts of one block; a word in place of a count is the block's quality."""
        counts = self.mapping(value, path)
        result: dict[str, RawCount | Quality] = {}
        for name, count in counts.items():
            if isinstance(count, str) and count in QUALITY_BY_NAME and (not slos or name in slos):
                result[name] = QUALITY_BY_NAME[count]
        numbers = {name: count for name, count in counts.items() if name not in result}
        return result | self.counts(numbers, path, slos)

    def evaluation(
        self, value: object, path: str, slos: frozenset[str] | None = None
    ) -> dict[str, Count]:
        """Read hold-out counts: no more bad than all. A training may score more than the SLOs."""
        result = {}
        for name, (bad_events, total) in self.counts(
            {} if value is None else value, path, slos
        ).items():
            if not (isfinite(bad_events) and isfinite(total)):
                self.wrong(join_path(path, name), "must hold whole numbers")
            elif bad_events > total:
                value_path = f"{join_path(path, name)}.bad"
                self.wrong(
                    value_path,
                    f"{bad_events} is more than total ({total}): bad events are part of all events",
                )
            else:
                result[name] = Count(int(bad_events), int(total))
        return result

    def pairs(self, value: object, path: str) -> dict[str, Pairs]:
        """Read the hold-out's numbers of rows by which version was right, for each SLO."""
        result = {}
        for slo, rows in self.mapping({} if value is None else value, path).items():
            value_path = join_path(path, slo)
            fields = self.fields(rows, value_path, PAIR_FIELDS, PAIR_FIELDS)
            if not fields.keys() >= set(PAIR_FIELDS):
                continue
            counts = [
                self.number(fields[name], join_path(value_path, name)) for name in PAIR_FIELDS
            ]
            if all(isfinite(count) for count in counts):
                result[slo] = Pairs(*map(int, counts))
            else:
                self.wrong(value_path, "must hold whole numbers")
        return result


def join_path(path: str, name: str) -> str:
    """Return the path of a field."""
    return f"{path}.{name}" if path else name


def quoted_value(value: object) -> str:
    """Return a value on one line, for a message."""
    text = "missing" if value is None else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…"  # noqa: PLR2004 - one line of a terminal
