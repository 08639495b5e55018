"""The log of predictions as a warehouse: rows with their labels, and deletion of a person's rows.

    rows = labelled(since, until)                       # in a training, or a Job of a shadow phase

    python -m sluicegate_service.warehouse labelled 2026-11-01T00:00:00Z 2026-12-01T00:00:00Z
    python -m sluicegate_service.warehouse forget CUSTOMER-KEY

The operator's pods have the variable SLUICEGATE_LOG with the place. Elsewhere set it, or construct a
`Warehouse` of a store.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import sys
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sluicegate_service.environment import LOG
from sluicegate_service.log_rows import LABEL, PREDICTION, moment, person_id
from sluicegate_service.log_settings import LogSettings
from sluicegate_service.log_stores import READ_ATTEMPTS, LogStore, LogStoreError, store_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from collections.abc import Set as AbstractSet

LABELS_FOR_DAYS: Final = 90
"""Days for which a prediction may wait for its label, if not given otherwise."""
WRITE_DELAY: Final = timedelta(minutes=1)
"""Time after which labels are written, unless the place is away for longer."""
_STARTS: Final = {kind: f'{{"kind":"{kind}"'.encode() for kind in (PREDICTION, LABEL)}
"""Starts of the lines that pods write, by which lines of another kind needn't be parsed."""
_LABEL_START: Final = _STARTS[LABEL]
_TEXTS: Final = {
    PREDICTION: ("id", "time", "version", "revision", "market", "path"),
    LABEL: ("id", "time"),
}
_VALUES: Final = {PREDICTION: ("features", "prediction"), LABEL: ("truth",)}
log = logging.getLogger("sluicegate.log")


class WarehouseError(Exception):
    """The log can't be read; the message has the way out."""


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """A prediction with what really happened.

    Attributes
    ----------
    features : the request's JSON, as it was logged. prediction, truth : JSON.
    monitored : what the service recorded with `bentoml.monitor`, by monitor and column.
    time, label_time : of the prediction and of its label, in UTC.
    """

    id: str
    features: Any
    prediction: Any
    truth: Any
    time: datetime
    label_time: datetime
    version: str
    revision: str
    market: str
    path: str
    monitored: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """Features of a prediction as they were logged, and the path of the API that it was made at."""

    path: str
    features: Any


@dataclass(frozen=True, slots=True)
class Warehouse:
    """The log of one product.

    Attributes
    ----------
    by_person : whether new rows have a person (`serving.log.features.person`).
    """

    store: LogStore
    namespace: str
    product: str
    by_person: bool = True

    @classmethod
    def of_product(cls) -> Warehouse:
        """Return that of the pod's product; WarehouseError if the product has no log."""
        try:
            settings = LogSettings.from_environment(os.environ)
            if settings is None:
                raise WarehouseError(f"{LOG} is not set: set serving.log, or the variable")
            store = store_of(settings, attempts=READ_ATTEMPTS)
            return cls(store, settings.namespace, settings.product, bool(settings.person))
        except ValueError as error:
            raise WarehouseError(str(error)) from error

    def labelled(
        self,
        since: datetime,
        until: datetime,
        *,
        days: int = LABELS_FOR_DAYS,
        write_delay: timedelta = timedelta(),
    ) -> list[LabelledRow]:
        """Return the rows whose label came after `since` and by `until`, in the order of the labels.

        A prediction has one row, at the time of its first label, and with the first answer if the
        caller repeated a request with the same id.

        Parameters
        ----------
        since, until : with their time zones. days : for which a prediction may wait for its label.
        write_delay : pods write a label some seconds after it came, so a label just before `until`
            may be written after it was read, and would be in no interval. Both times are this
            much earlier, so that intervals that follow each other have each label once. Without
            it, a warning is logged if `until` is within `WRITE_DELAY` of now. Use the same in a
            training and in the Jobs of its shadow phase.

        Raises
        ------
        WarehouseError
            The log can't be read, a row is of another form, a time has no time zone, or `since` is
            after `until`.
        """
        _require_interval(since, until)
        since, until = since - write_delay, until - write_delay
        if until > datetime.now(UTC) - WRITE_DELAY and not write_delay:
            log.warning(
                "labels of the last %.0f s may not be written yet, and are in no later interval:"
                " let until be earlier, or set write_delay=WRITE_DELAY in each call",
                WRITE_DELAY.total_seconds(),
            )
        after, before = moment(since.timestamp()), moment(until.timestamp())
        oldest = (since - timedelta(days=days)).astimezone(UTC).date().isoformat()
        try:
            self.store.require()
            # Rows may be written a day after their time, where the place was away.
            dates = [date for date in self.store.dates() if date >= oldest]
            labels = self._first(dates, LABEL)
            labels = {key: row for key, row in labels.items() if after < row["time"] <= before}
            predictions = self._first(dates, PREDICTION, only=labels.keys())
        except LogStoreError as error:
            raise WarehouseError(f"the log of predictions can't be read: {error}") from error
        if unjoined := len(labels) - len(predictions):
            log.warning(
                "%d of %d labels are left out, as the log has no prediction of the last %d days with their id:"
                " compare the ids of the caller's labels with those of its requests",
                unjoined,
                len(labels),
                days,
            )
        rows = [_joined(row, labels[key]) for key, row in predictions.items()]
        return sorted(rows, key=lambda row: (row.label_time, row.id))

    def requests(self, since: datetime, until: datetime, version: str) -> Iterator[LoggedRequest]:
        """Yield the predictions of a version after `since` and by `until`, with a label or without, file by file.

        Raises
        ------
        WarehouseError
            As `labelled`.
        """
        _require_interval(since, until)
        after, before = moment(since.timestamp()), moment(until.timestamp())
        oldest = since.astimezone(UTC).date().isoformat()
        try:
            self.store.require()
            dates = [date for date in self.store.dates() if date >= oldest]
            for row in self._rows(dates, PREDICTION):
                if row["version"] == version and after < row["time"] <= before:
                    yield LoggedRequest(row["path"], row["features"])
        except LogStoreError as error:
            raise WarehouseError(f"the log of predictions can't be read: {error}") from error

    def forget(self, person: str) -> int:
        """Delete the rows of a person, with their labels; return the number of predictions.

        Rows that pods have in memory at this time are written later: repeat it after a minute.
        Labels are deleted before their predictions, so that a call after an error finds both.

        Raises
        ------
        WarehouseError
            Rows can't be read or deleted, or newer ones can't be found, as `by_person` is off.
        """
        pseudonym = person_id(self.namespace, self.product, person)
        ids, ids_left = frozenset[str](), set[str]()
        try:
            self.store.require()
            files = {
                (date, name): _predictions_of(pseudonym, self.store.read(date, name))
                for date in self.store.dates()
                for name in self.store.names(date)
            }
            ids_left = set[str]().union(*files.values())
            ids = frozenset(ids_left)
            if ids:
                for date, name in files:
                    self.store.rewrite(date, name, partial(_without_labels, ids=ids))
            for date, name in tuple(files):
                change = partial(_without_person, pseudonym=pseudonym, ids=ids)
                self.store.rewrite(date, name, change)
                del files[date, name]
                ids_left = set[str]().union(*files.values())
        except LogStoreError as error:
            raise WarehouseError(
                f"{error}; {len(ids - ids_left)} predictions are deleted so far: repeat it"
            ) from error
        if not self.by_person:
            raise WarehouseError(
                f"{len(ids)} predictions are deleted; others can't be found, as rows have no person:"
                " set serving.log.features.person to the path of the key, for new rows; delete older"
                " ones by their date"
            )
        return len(ids)

    def _first(
        self, dates: Sequence[str], kind: str, *, only: Any = None
    ) -> dict[str, dict[str, Any]]:
        """Return the earliest row of a kind for each id."""
        rows: dict[str, dict[str, Any]] = {}
        for row in self._rows(dates, kind):
            key = row["id"]
            if only is not None and key not in only:
                continue
            if key not in rows or row["time"] < rows[key]["time"]:
                rows[key] = row
        return rows

    def _rows(self, dates: Sequence[str], kind: str) -> Iterator[dict[str, Any]]:
        for date in dates:
            for name in self.store.names(date):
                for number, line in enumerate(self.store.read(date, name).splitlines(), 1):
                    if line.startswith(_STARTS[kind]) or not line.startswith(
                        tuple(_STARTS.values())
                    ):
                        row = _checked(line, f"{name} of {date}, line {number}")
                        if row.get("kind") == kind:
                            yield row


def labelled(
    since: datetime,
    until: datetime,
    *,
    days: int = LABELS_FOR_DAYS,
    write_delay: timedelta = timedelta(),
) -> list[LabelledRow]:
    """Return the labelled rows of the pod's product; see `Warehouse.labelled`."""
    return Warehouse.of_product().labelled(since, until, days=days, write_delay=write_delay)


def forget(person: str) -> int:
    """Delete the rows of a person from the log of the pod's product; see `Warehouse.forget`."""
    return Warehouse.of_product().forget(person)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 1 with the reason if the log can't be read or written."""
    parser = argparse.ArgumentParser(prog="sluicegate_service.warehouse")
    commands = parser.add_subparsers(dest="command", required=True)
    reading = commands.add_parser("labelled", help="print labelled rows, as lines of JSON")
    reading.add_argument("since", type=datetime.fromisoformat, help="as 2026-11-01T00:00:00Z")
    reading.add_argument("until", type=datetime.fromisoformat)
    commands.add_parser("forget", help="delete a person's rows").add_argument("person")
    parsed = parser.parse_args(arguments)
    try:
        if parsed.command == "forget":
            print(f"{forget(parsed.person)} predictions are deleted")  # noqa: T201
            return 0
        for row in labelled(parsed.since, parsed.until):
            print(json.dumps(asdict(row), default=str))  # noqa: T201
    except WarehouseError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _require_interval(since: datetime, until: datetime) -> None:
    if since.tzinfo is None or until.tzinfo is None:
        raise WarehouseError("since and until need a time zone, e.g. datetime.now(UTC)")
    if since > until:
        raise WarehouseError(f"since ({since}) is after until ({until}): exchange them")


def _joined(prediction: dict[str, Any], label: dict[str, Any]) -> LabelledRow:
    return LabelledRow(
        id=prediction["id"],
        features=prediction["features"],
        prediction=prediction["prediction"],
        truth=label["truth"],
        time=datetime.fromisoformat(prediction["time"]),
        label_time=datetime.fromisoformat(label["time"]),
        version=prediction["version"],
        revision=prediction["revision"],
        market=prediction["market"],
        path=prediction["path"],
        monitored=prediction.get("monitored") or {},
    )


def _predictions_of(pseudonym: str, content: bytes) -> set[str]:
    """Return the ids of a person's predictions in a file."""
    if pseudonym.encode() not in content:
        return set()
    rows = [_row(line) for line in content.splitlines() if pseudonym.encode() in line]
    return {row["id"] for row in rows if row.get("person") == pseudonym}


def _without_labels(content: bytes, ids: AbstractSet[str]) -> bytes:
    """Return a file without the labels of some predictions."""
    return b"".join(
        line
        for line in content.splitlines(keepends=True)
        if not line.startswith(_LABEL_START) or _row(line).get("id") not in ids
    )


def _without_person(content: bytes, pseudonym: str, ids: AbstractSet[str]) -> bytes:
    """Return a file without some predictions of a person, and without lines of them that were cut off.

    Predictions that were written after `ids` were read stay, as their labels do.
    """

    def stays(line: bytes) -> bool:
        if pseudonym.encode() not in line:
            return True
        row = _row(line)
        return bool(row) and (row.get("person") != pseudonym or row["id"] not in ids)

    return b"".join(line for line in content.splitlines(keepends=True) if stays(line))


def _checked(line: bytes, place: str) -> dict[str, Any]:
    """Return a row of a known form; none for a line that was cut off. WarehouseError has the place."""
    row: dict[str, Any] | None
    try:
        row = json.loads(line)
    except ValueError:
        return {}
    except RecursionError:
        row = None
    kind = row.get("kind") if isinstance(row, dict) else None
    if row is not None and kind in _TEXTS:
        texts = [row.get(name) for name in _TEXTS[kind]]
        if all(isinstance(text, str) for text in texts) and row.keys() >= set(_VALUES[kind]):
            with contextlib.suppress(ValueError):
                datetime.fromisoformat(row["time"])
                return row
    raise WarehouseError(
        f"{place} is no row of the log of predictions: delete the line or the file"
    )


def _row(line: bytes) -> dict[str, Any]:
    """Return a row; none for a line that was cut off by the end of a process."""
    try:
        row = json.loads(line)
    except (RecursionError, ValueError):
        return {}
    return row if isinstance(row, dict) and "id" in row and "time" in row else {}


if __name__ == "__main__":
    sys.exit(main())
