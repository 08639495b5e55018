"""What a training Job is told, and what it answers: variables in, one JSON object out.

The answer goes to the container's termination message, which the kubelet cuts at 4,096 bytes. A
longer one would reach the operator as rubbish, so it is refused here, where the reason is known.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from sluicegate_service import environment as names

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_RESULT_BYTES: Final = 3500
MAX_VERSION_LENGTH: Final = 50

_VERSION: Final = re.compile(r"[a-z0-9]([-._a-z0-9]*[a-z0-9])?")
_NUMBERED: Final = re.compile(r"(.*?)(\d+)")


class TrainingError(Exception):
    """The training can't be done; the message says what to change."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Why this training runs. A person's request names no SLO."""

    slo: str | None = None
    indicator: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read SLUICEGATE_TRIGGER."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise TrainingError(f"{names.TRIGGER} is not JSON ({error}): {text[:200]!r}") from error
        if not isinstance(document, dict):
            raise TrainingError(f"{names.TRIGGER} must be a JSON object, not {text[:200]!r}")
        return cls(document.get("slo"), document.get("indicator"), document)

    @property
    def why(self) -> str:
        """In words, for a log."""
        return str(self.details.get("message") or self.slo or "a person asked")

    @property
    def too_slow(self) -> bool:
        """Whether the model is right and too slow: a lighter one is wanted."""
        return self.indicator == "latency"


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """What is to be trained. `version` is the stable one, whose bento lies in `bento`."""

    namespace: str
    product: str
    version: str
    output: str
    trigger: Trigger
    bento: Path
    termination_log: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the variables that the operator sets.

        Raises
        ------
        TrainingError
            A variable is missing or can't be read, or the stable bento isn't mounted.
        """
        bento = Path(environment.get(names.BENTO) or names.DEFAULT_BENTO)
        if not (bento / "bento.yaml").is_file():
            raise TrainingError(
                f"{bento} holds no bento: mount the stable one there, or set {names.BENTO}"
            )
        return cls(
            namespace=_required(environment, names.NAMESPACE),
            product=_required(environment, names.PRODUCT),
            version=_required(environment, names.VERSION),
            output=_required(environment, names.OUTPUT),
            trigger=Trigger.parse(environment.get(names.TRIGGER) or "{}"),
            bento=bento,
            termination_log=Path(
                environment.get(names.TERMINATION_LOG) or names.DEFAULT_TERMINATION_LOG
            ),
        )


@dataclass(frozen=True, slots=True)
class Counts:
    """Predictions on the hold-out: how many, and how many of them wrong."""

    bad: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.total:
            raise ValueError(f"bad={self.bad} of total={self.total} is no count")

    @property
    def summary(self) -> str:
        """The accuracy and the counts, for a log."""
        return f"{1 - self.bad / max(self.total, 1):.4f} ({self.bad} wrong of {self.total})"


Evaluation = dict[str, Counts]
"""Counts on one hold-out, by the name of the SLO that they speak for."""


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """What the operator reads of a training that worked."""

    image: str
    version: str
    evaluation: Evaluation
    stable_evaluation: Evaluation

    def dump(self) -> str:
        """The one JSON object; TrainingError when it is longer than 3,500 bytes."""
        text = json.dumps(
            {
                "image": self.image,
                "version": self.version,
                "evaluation": _counts(self.evaluation),
                "stableEvaluation": _counts(self.stable_evaluation),
            },
            separators=(",", ":"),
        )
        if len(text.encode()) > MAX_RESULT_BYTES:
            raise TrainingError(
                f"the result has {len(text.encode())} bytes, more than the {MAX_RESULT_BYTES} that"
                f" the operator reads: evaluate fewer SLOs than {len(self.evaluation)}"
            )
        return text

    def write(self, path: Path) -> None:
        """Write it as the termination message."""
        try:
            path.write_text(self.dump(), encoding="utf-8")
        except OSError as error:
            raise TrainingError(
                f"the result can't be written to {path}: {error.strerror}; set"
                f" {names.TERMINATION_LOG} to a file that can be"
            ) from error


def next_version(version: str) -> str:
    """The name after a version's: v1 → v2, 2026.9 → 2026.10, blue → blue-2."""
    numbered = _NUMBERED.fullmatch(version)
    following = f"{numbered[1]}{int(numbered[2]) + 1}" if numbered else f"{version}-2"
    if len(following) > MAX_VERSION_LENGTH or not _VERSION.fullmatch(following):
        raise TrainingError(
            f"no version can follow {version!r}: a version has at most {MAX_VERSION_LENGTH}"
            " characters of a-z, 0-9, '-', '.' and '_'"
        )
    return following


def _required(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name)
    if not value:
        raise TrainingError(f"{name} is not set: training code runs in a Job of the operator")
    return value


def _counts(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    return {slo: {"bad": counts.bad, "total": counts.total} for slo, counts in evaluation.items()}
