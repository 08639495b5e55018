"""What a rule says of each combination of its inputs, as text for a golden."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def by_outcome(outcomes: Mapping[tuple[str, ...], str]) -> str:
    """The outcomes, and of which of all combinations they are."""
    found: dict[str, list[str]] = {}
    for combination, each in outcomes.items():
        found.setdefault(each, []).append(", ".join(combination))
    return "".join(
        f"{each}:\n" + "".join(f"  {one}\n" for one in combinations)
        for each, combinations in found.items()
    )


def combined(judge: Callable[..., str], *tables: Mapping[str, Any]) -> str:
    return by_outcome(
        {
            tuple(names): judge(*(table[name] for table, name in zip(tables, names, strict=True)))
            for names in product(*tables)
        }
    )
