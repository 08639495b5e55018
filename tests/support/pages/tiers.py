"""Which tier of the tests runs a command of a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.pages.steps import Command

CLUSTER = "apiserver"
BENTOS = "bentos"
BOTH = "both"
EVERYWHERE = frozenset({"cd", "export", "sluicegate init"})
"""What a reader's shell needs for all that follows."""
ELSEWHERE = {
    "make setup": "tests/kind/__main__.py",
    "make images": "tests/kind/test_demo.py",
    "docker build": "tests/kind/test_demo.py",
    "docker push": "tests/kind/test_demo.py",
    "kubectl -n monitoring port-forward": "tests/kind/test_demo.py",
}
"""How commands begin that no page's test runs, with where they run."""
FOLLOWED: dict[str, tuple[tuple[str, ...], ...]] = {
    CLUSTER: (
        ("first-product", "service-levels", "canary", "rollback", "own-model", "feedback", "retraining"),
    ),
    BENTOS: (
        ("first-product", "service-levels", "canary", "rollback"),
        ("feedback", "retraining"),
        ("own-model",),
    ),
}  # fmt: skip
"""The tutorials that a tier follows, one after the other: readers that start from nothing."""
ON_CLUSTER = frozenset({"kubectl", "helm"})
ON_BENTOS = frozenset({"uv", "curl"})
OF_BENTOS = frozenset({"check", "pack", "train", "runtime-constraints", "runtime-image"})
"""Commands of sluicegate that handle a bento."""


def tier(command: Command) -> str:
    """Return the tier that runs a command; empty where none does.

    Raises
    ------
    KeyError
        No tier knows the program.
    """
    if command.text.startswith(tuple(ELSEWHERE)):
        return ""
    words = command.words
    if words[0] in EVERYWHERE or " ".join(words[:2]) in EVERYWHERE:
        return BOTH
    if words[0] in ON_BENTOS or (words[0] == "sluicegate" and words[1] in OF_BENTOS):
        return BENTOS
    if words[0] in ON_CLUSTER or words[0] == "sluicegate":
        return CLUSTER
    raise KeyError(f"no test runs {command.text!r}")
