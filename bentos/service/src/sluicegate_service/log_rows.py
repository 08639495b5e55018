"""Rows of the log of predictions, as lines of JSON: predictions and labels, joined by `id`.

{"kind": "prediction", "id": "5f…", "time": "2026-11-30T17:00:00.250+00:00", "path": "/price",
"version": "v1", "revision": "0123456789", "market": "FR", "person": "c0…",
"features": {"cars": {"mileage": 120000}}, "prediction": 8900.0}
{"kind": "label", "id": "5f…", "time": "2026-12-02T08:00:00.125+00:00", "truth": 9100.0}
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from sluicegate_service.answers import Noted
from sluicegate_service.json_paths import MISSING, value_at, without_path
from sluicegate_service.tokens import identity_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sluicegate_service.log_settings import LogSettings

    Monitored = Mapping[str, Mapping[str, Sequence[Any]]]

PREDICTION: Final = "prediction"
LABEL: Final = "label"
ID_BYTES: Final = 16
_PERSON_DIGITS: Final = 32


@dataclass(frozen=True, slots=True)
class Served:
    """An answered request of the API.

    Attributes
    ----------
    seconds : Unix time. body, answer : as they were sent; the answer is empty if it isn't needed.
    predictions : those that were signed, or noted without a key.
    batch : whether they are of the items of a list in the request, one each.
    monitored : values of each column of each monitor of BentoML.
    """

    seconds: float
    path: str
    body: bytes
    answer: bytes
    predictions: Sequence[Noted]
    batch: bool
    market: str
    version: str
    revision: str
    monitored: Monitored = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        tokens = sum(len(noted.token or "") for noted in self.predictions)
        values = sum(
            len(column) for columns in self.monitored.values() for column in columns.values()
        )
        return 1024 + len(self.body) + len(self.answer) + 2 * tokens + 64 * values

    @property
    def count(self) -> int:
        """Number of its lines."""
        return len(self.predictions) or 1

    def lines(self, settings: LogSettings) -> Iterator[bytes]:
        """Yield a line for each prediction."""
        body = _parsed(self.body)
        predictions = self.predictions or (Noted(_parsed(self.answer)),)
        for position, noted in enumerate(predictions):
            features = _item(body, position, len(predictions)) if self.batch else body
            row = {
                "kind": PREDICTION,
                "id": row_id(identity_of(noted.token, noted.caller_id)),
                "time": moment(self.seconds),
                "path": self.path,
                "version": self.version,
                "revision": self.revision,
                "market": noted.market or self.market,
            }
            person = value_at(features, settings.person) if settings.person else MISSING
            if person is not MISSING and person is not None:
                row["person"] = person_id(settings.namespace, settings.product, str(person))
            logged = {
                "features": chosen(features, settings),
                "prediction": redacted(noted.value, settings),
            }
            if self.monitored:
                logged["monitored"] = _monitored(
                    self.monitored, settings, position=position, count=len(predictions)
                )
            yield _line(row | logged)


@dataclass(frozen=True, slots=True)
class Labelled:
    """A label that was accepted; `identity` is that of its prediction."""

    seconds: float
    identity: bytes
    truth: Any

    @property
    def size(self) -> int:
        """Bytes that it takes in memory, about."""
        return 1024

    @property
    def count(self) -> int:
        """Number of its lines."""
        return 1

    def lines(self, _settings: LogSettings) -> Iterator[bytes]:
        """Yield its line."""
        yield _line(
            {
                "kind": LABEL,
                "id": row_id(self.identity),
                "time": moment(self.seconds),
                "truth": self.truth,
            }
        )


def row_id(identity: bytes) -> str:
    """Return the id that a prediction and its label have in common."""
    return identity[:ID_BYTES].hex()


def person_id(namespace: str, product: str, key: str) -> str:
    """Return the pseudonym of a person's key in rows; it differs by product."""
    text = f"sluicegate person\0{namespace}\0{product}\0{key}"
    return sha256(text.encode()).hexdigest()[:_PERSON_DIGITS]


def moment(seconds: float) -> str:
    """Return a Unix time as RFC 3339 in UTC, with milliseconds, so that texts sort by time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def chosen(features: Any, settings: LogSettings) -> Any:
    """Return the features that may be logged: those of `only`, without those of `redact`."""
    features = redacted(features, settings)
    if not settings.only:
        return features
    parts = {path: value_at(features, path) for path in settings.only}
    return {path: value for path, value in parts.items() if value is not MISSING}


def redacted(document: Any, settings: LogSettings) -> Any:
    """Return a request's features, or a prediction, without what is at the paths of `redact`."""
    for path in settings.redact:
        document = without_path(document, path)
    return document


def _monitored(
    monitored: Monitored, settings: LogSettings, *, position: int, count: int
) -> dict[str, Any]:
    """Return the monitored values of one prediction by monitor and column, without columns that aren't logged.

    A column with one value for each prediction has the value of this one; with `only`, columns of
    other names than its paths are left out, as they may hold other features.
    """
    rows = {}
    for name, columns in monitored.items():
        values = {
            column: _of_prediction(values, position, count)
            for column, values in columns.items()
            if not settings.only or column in settings.only
        }
        rows[name] = redacted(values, settings)
    return rows


def _of_prediction(values: Sequence[Any], position: int, count: int) -> Any:
    """Return the value of one prediction; all values where their number is another one."""
    return values[position] if len(values) == count else list(values)


def _item(body: Any, position: int, count: int) -> Any:
    """Return the features of one prediction: of lists with one item each, its item."""
    if isinstance(body, list) and len(body) == count:
        return body[position]
    if not isinstance(body, dict):
        return body
    return {
        name: value[position] if isinstance(value, list) and len(value) == count else value
        for name, value in body.items()
    }


def _parsed(text: bytes) -> Any:
    """Return JSON; None for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _line(row: dict[str, Any]) -> bytes:
    return (
        json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode(errors="replace") + b"\n"
    )
