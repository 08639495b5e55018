"""Inputs and output of a training Job: variables, and one JSON object.

The output goes to the container's termination message, which the kubelet cuts at 4,096 bytes. A
longer one would be invalid JSON for the operator, so it is refused here, where the reason is known.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from sluicegate_service import environment as names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sluicegate_service.feature_differences import FeatureDifferences

MAX_RESULT_BYTES: Final = 3500
MAX_VERSION_LENGTH: Final = 50
MIN_SCORED_ROWS: Final = 20
"""Rows below which a score ends no training before its fit: a model that is wrong in a quarter of
all rows is right in the only one three times in four."""

_VERSION: Final = re.compile(r"[a-z0-9]([-._a-z0-9]*[a-z0-9])?")
_NUMBERED: Final = re.compile(r"(.*?)(\d+)")


class TrainingError(Exception):
    """The training can't be done; the message has the way out."""


@dataclass(frozen=True, slots=True)
class Trigger:
    """Reason of this training. A person's request names no SLO."""

    slo: str | None = None
    indicator: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse SLUICEGATE_TRIGGER."""
        try:
            document = json.loads(text)
        except ValueError as error:
            raise TrainingError(f"{names.TRIGGER} is not JSON ({error}): {text[:200]!r}") from error
        if not isinstance(document, dict):
            raise TrainingError(f"{names.TRIGGER} must be a JSON object, not {text[:200]!r}")
        return cls(document.get("slo"), document.get("indicator"), document)

    @property
    def why(self) -> str:
        """Reason in words, for a log."""
        return str(self.details.get("message") or self.slo or "a person asked")

    @property
    def changed(self) -> datetime | None:
        """Estimated begin of the decay: older data may not be representative. None if unknown."""
        return self._time("changeTime")

    @property
    def accepted_share(self) -> float | None:
        """Share of wrong rows up to which the stable version scores as accepted; None: train in any case."""
        try:
            return float(self.details["acceptedShare"])
        except (KeyError, TypeError, ValueError):
            return None

    @property
    def fresh_since(self) -> datetime | None:
        """Time from which rows reflect the degradation: its change, else its first bad block. None if unknown."""
        return self.changed or self._time("firstBadBlockTime")

    def days_of_data(self, now: datetime, *, least: int, most: int) -> int:
        """Return the days up to `now` to train on: those since the change if they suffice, else `most`.

        Parameters
        ----------
        now : with its time zone.
        least : days with enough rows for a model. most : days that are used without a change.
        """
        if self.changed is None:
            return most
        since = (now - self.changed) // timedelta(days=1)
        return since if least <= since < most else most

    def _time(self, name: str) -> datetime | None:
        text = self.details.get(name)
        try:
            return datetime.fromisoformat(text) if isinstance(text, str) else None
        except ValueError:
            return None

    @property
    def too_slow(self) -> bool:
        """Whether the model is right but too slow, so that a lighter one is needed."""
        return self.indicator == "latency"


@dataclass(frozen=True, slots=True)
class TrainingTask:
    """Inputs of a training. `version` is the stable one, whose bento is in `bento`."""

    namespace: str
    product: str
    version: str
    output: str
    trigger: Trigger
    bento: Path
    termination_log: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Read the operator's variables.

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
    """Predictions on the hold-out: their number, and the number of wrong ones."""

    bad: int
    total: int
    wrong: bytes | None = field(default=None, repr=False)
    """Whether each row was wrong, in order; None if only the counts are known."""

    def __post_init__(self) -> None:
        if not 0 <= self.bad <= self.total:
            raise ValueError(f"bad={self.bad} of total={self.total} is no count")

    @classmethod
    def of(cls, wrong: Iterable[bool]) -> Self:
        """Return the counts of a hold-out, from whether each of its rows was wrong.

        Two models that are scored on the same rows, in the same order, are then compared row by
        row, which needs a third of the rows that two counts need.
        """
        rows = bytes(map(bool, wrong))
        return cls(sum(rows), len(rows), rows)

    @property
    def summary(self) -> str:
        """Accuracy and counts, for a log."""
        return f"{1 - self.bad / max(self.total, 1):.4f} ({self.bad} wrong of {self.total})"


Evaluation = dict[str, Counts]
"""Counts on one hold-out, by the name of their SLO."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Rows of one hold-out by which of two versions was right."""

    both_right: int
    only_stable_wrong: int
    only_candidate_wrong: int
    both_wrong: int


def paired(candidate: Evaluation, stable: Evaluation) -> dict[str, Pairs]:
    """Return both versions row by row, by SLO; without SLOs that have only counts.

    Raises
    ------
    TrainingError
        The two were scored on different numbers of rows.
    """
    pairs = {}
    for slo, candidate_counts in candidate.items():
        stable_counts = stable.get(slo)
        if stable_counts is None or candidate_counts.wrong is None or stable_counts.wrong is None:
            continue
        if candidate_counts.total != stable_counts.total:
            raise TrainingError(
                f"the hold-out of {slo} has {candidate_counts.total} rows for the new model and"
                f" {stable_counts.total} for the stable one: score both on the same rows"
            )
        both_wrong = sum(
            a & b for a, b in zip(candidate_counts.wrong, stable_counts.wrong, strict=True)
        )
        pairs[slo] = Pairs(
            both_right=candidate_counts.total
            - candidate_counts.bad
            - stable_counts.bad
            + both_wrong,
            only_stable_wrong=stable_counts.bad - both_wrong,
            only_candidate_wrong=candidate_counts.bad - both_wrong,
            both_wrong=both_wrong,
        )
    return pairs


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """Result of a successful training, for the operator."""

    image: str
    version: str
    evaluation: Evaluation
    stable_evaluation: Evaluation
    pairs: Mapping[str, Pairs] = field(default_factory=dict)
    data_end: datetime | None = None
    """End of the training data, with its time zone; None for the end of the training."""
    hold_out_start: datetime | None = None
    """Begin of the hold-out's rows, with its time zone; None where it isn't known."""
    differences: FeatureDifferences | None = None
    """Features that differ from those of requests; None where they weren't compared."""

    def dump(self) -> str:
        """Return the JSON object; TrainingError if it is longer than 3,500 bytes."""
        document: dict[str, Any] = {
            "image": self.image,
            "version": self.version,
            "evaluation": _counts(self.evaluation),
            "stableEvaluation": _counts(self.stable_evaluation),
        }
        if self.pairs:
            document["pairs"] = {slo: rows_of(pairs) for slo, pairs in self.pairs.items()}
        if self.data_end is not None:
            document["dataEndTime"] = self.data_end.isoformat(timespec="seconds")
        if self.hold_out_start is not None:
            document["holdOutStartTime"] = self.hold_out_start.isoformat(timespec="seconds")
        text = _dumped(document, self.differences)
        if len(text.encode()) > MAX_RESULT_BYTES:
            raise TrainingError(
                f"the result has {len(text.encode())} bytes, more than the {MAX_RESULT_BYTES} that"
                f" the operator reads: evaluate fewer SLOs than {len(self.evaluation)}"
            )
        return text

    def write(self, path: Path) -> None:
        """Write it as the termination message."""
        write_result(path, self.dump())


@dataclass(frozen=True, slots=True)
class StableScore:
    """Score of the stable version on rows of an interval (times with their zone), before anything is trained."""

    evaluation: Evaluation
    start: datetime
    end: datetime
    differences: FeatureDifferences | None = None

    def dump(self) -> str:
        """Return the JSON object for the operator."""
        document = {
            "stableEvaluation": _counts(self.evaluation),
            "holdOutStartTime": self.start.isoformat(timespec="seconds"),
            "dataEndTime": self.end.isoformat(timespec="seconds"),
        }
        return _dumped(document, self.differences)


def write_result(path: Path, text: str) -> None:
    """Write a result as the termination message; TrainingError if the file can't be written."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise TrainingError(
            f"the result can't be written to {path}: {error.strerror}; set"
            f" {names.TERMINATION_LOG} to a file that can be"
        ) from error


def next_version(version: str) -> str:
    """Return the name after a version's: v1 → v2, 2026.9 → 2026.10, blue → blue-2."""
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


def rows_of(pairs: Pairs) -> dict[str, int]:
    """Return pairs in the operator's form."""
    return {
        "bothRight": pairs.both_right,
        "onlyStableWrong": pairs.only_stable_wrong,
        "onlyCandidateWrong": pairs.only_candidate_wrong,
        "bothWrong": pairs.both_wrong,
    }


def _dumped(document: dict[str, Any], differences: FeatureDifferences | None) -> str:
    """Return a result as JSON, without the differences that it is too long with.

    Where none of several fits, all are left out: an empty list would mean that nothing differs.
    """
    text = json.dumps(document, separators=(",", ":"))
    if differences is None:
        return text
    number = len(differences.largest)
    for count in range(number, min(number, 1) - 1, -1):
        features = {"compared": differences.compared, "largest": differences.largest[:count]}
        longer_text = json.dumps(document | {"featureDifferences": features}, separators=(",", ":"))
        if len(longer_text) <= MAX_RESULT_BYTES:
            return longer_text
    return text


def _counts(evaluation: Evaluation) -> dict[str, dict[str, int]]:
    return {slo: {"bad": counts.bad, "total": counts.total} for slo, counts in evaluation.items()}
