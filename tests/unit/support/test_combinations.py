"""Goldens of combinations leave nothing out: what they say determines the outcome of each."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.decisions.combinations import by_line, by_outcome, combined

NAMES = (("low", "high", "none"), ("on", "off"), ("1", "2", "3", "4", "5"))
EVERY = list(product(*NAMES))


def read(text: str) -> set[tuple[str, ...]]:
    """The combinations that a line stands for."""

    def values(told: str, names: tuple[str, ...]) -> set[str]:
        if told.startswith("any"):
            return set(names) - set(told.removeprefix("any but ").split(" or "))
        return set(told.split(" or "))

    each = zip(text.split(" | "), NAMES, strict=True)
    return set(product(*(values(told, names) for told, names in each)))


@given(st.lists(st.sampled_from("abc"), min_size=len(EVERY), max_size=len(EVERY)))
def test_each_outcome_is_printed_once_with_all_its_combinations(outcomes):
    known, found, outcome = dict(zip(EVERY, outcomes, strict=True)), {}, ""
    for line in by_outcome(known):
        head, colon, rest = line.partition(":")
        outcome = head if colon else outcome
        told = rest.strip() if colon else line.strip()
        found |= dict.fromkeys(read(told) if told else (), outcome)
    assert found == known


@given(
    st.lists(
        st.lists(st.sampled_from("abc"), unique=True), min_size=len(EVERY), max_size=len(EVERY)
    )
)
def test_each_golden_line_is_printed_once_with_all_combinations_that_produce_it(outcomes):
    known = dict(zip(EVERY, map(set, outcomes), strict=True))
    found, of = {one: set() for one in EVERY}, set()
    lines = list(by_line(dict(zip(EVERY, outcomes, strict=True))))
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("  "):
            for one in of:
                found[one].add(line.strip())
        else:
            of = read(line.removesuffix(":")) | (set() if before.startswith("  ") else of)
    assert found == known
    assert len({line for line in lines if line.startswith("  ")}) == len(
        set().union(*known.values())
    )


def test_an_outcome_that_has_a_line_twice_is_refused():
    with pytest.raises(AssertionError, match="has a line twice"):
        list(by_line({("low",): ["a", "b", "a"]}))


def test_an_input_that_makes_no_difference_is_printed_as_any():
    numbers = {name: int(name) for name in NAMES[2]}
    switch = {"on": True, "off": False}
    lines = list(combined(lambda on, one: "much" if on and one > 1 else "little", switch, numbers))
    assert lines == ["little:", "  any | 1", "  off | any but 1", "much: on | any but 1"]


def test_an_ambiguous_combination_name_is_refused():
    for name in ("a or b", "a | b", "any but a"):
        with pytest.raises(AssertionError, match="may be read as several"):
            list(by_outcome({(name,): "a"}))
