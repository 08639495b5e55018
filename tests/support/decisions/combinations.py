"""Outcomes of a rule for each combination of its inputs, as lines for a golden.

What is equal is printed once: an outcome with all combinations that have it, a combination of which
an input makes no difference with "any" in its place. So a changed line of a golden shows an
outcome that is another one, or the inputs on which it depends now.
"""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Combination = tuple[str, ...]
"""A name for the value of each input."""
WIDTH = 160
"""Characters up to which an outcome and its only combinations share a line."""


def by_outcome(outcomes: Mapping[Combination, str], *inputs: str) -> Iterator[str]:
    """Yield each outcome once, and below it the combinations that lead to it.

    First the inputs' names.
    """
    if inputs:
        yield f"inputs: {' | '.join(inputs)}"
    by_text: dict[str, list[Combination]] = {}
    for combination, each in outcomes.items():
        by_text.setdefault(each, []).append(combination)
    names = _names(outcomes)
    for each, some in by_text.items():
        lines = list(_lines_of(some, names))
        if len(lines) == 1 and len(each) + len(lines[0]) < WIDTH:
            yield f"{each}: {lines[0]}"
        else:
            yield f"{each}:"
            yield from (f"  {line}" for line in lines)


def by_line(outcomes: Mapping[Combination, Iterable[str]]) -> Iterator[str]:
    """Yield each line of the outcomes once, below the combinations of whose outcomes it is a part.

    The order of an outcome's lines isn't told. One that has a line twice is refused.
    """
    holds: dict[str, list[Combination]] = {}
    for combination, each in outcomes.items():
        lines = [*each]
        assert len(set(lines)) == len(lines), f"{combination} has a line twice"
        for line in lines:
            holds.setdefault(line, []).append(combination)
    together: dict[tuple[Combination, ...], list[str]] = {}
    for line, some in holds.items():
        together.setdefault(tuple(some), []).append(line)
    names = _names(outcomes)
    for keys, shared in together.items():
        *leading, last = _lines_of(keys, names)
        yield from (*leading, f"{last}:")
        yield from (f"  {line}" for each in shared for line in each.splitlines())


def combined(judge: Callable[..., str], *tables: Mapping[str, Any]) -> Iterator[str]:
    """Return the outcome of each combination of the tables' values."""
    return by_outcome(
        {
            tuple(names): judge(*(table[name] for table, name in zip(tables, names, strict=True)))
            for names in product(*tables)
        }
    )


def _names(outcomes: Iterable[Combination]) -> list[list[str]]:
    """Return all names of each input, in their order."""
    names = [list(dict.fromkeys(each)) for each in zip(*outcomes, strict=True)]
    for name in (name for each in names for name in each):
        assert not re.search(r"^any\b| or | \| ", name), f"{name} may be read as several"
    return names


def _lines_of(some: Iterable[Combination], names: list[list[str]]) -> Iterator[str]:
    """Yield these combinations, merged into few lines."""
    places = range(len(names))
    forward, backward = (_merged(some, order) for order in (places, reversed(places)))
    for combination in min(forward, backward, key=len):
        yield " | ".join(
            _alternatives(each, known) for each, known in zip(combination, names, strict=True)
        )


def _merged(some: Iterable[Combination], order: Iterable[int]) -> list[tuple[frozenset[str], ...]]:
    """Merge combinations that differ in one input's value only, input by input."""
    sets = [tuple(frozenset({name}) for name in one) for one in some]
    for place in order:
        alike: dict[tuple[frozenset[str], ...], set[str]] = {}
        for combination in sets:
            alike.setdefault((*combination[:place], *combination[place + 1 :]), set()).update(
                combination[place]
            )
        sets = [(*one[:place], frozenset(each), *one[place:]) for one, each in alike.items()]
    return sets


def _alternatives(some: frozenset[str], all_names: list[str]) -> str:
    chosen = [name for name in all_names if name in some]
    left_out = [name for name in all_names if name not in some]
    if not left_out and len(all_names) > 1:
        return "any"
    if len(left_out) < len(chosen) and len(all_names) > 3:
        return f"any but {' or '.join(left_out)}"
    return " or ".join(chosen)
