"""Labelled rows in order: from files, or generated with concepts that change."""

from __future__ import annotations

import gzip
from dataclasses import dataclass, replace
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

FIRST_ROWS: Final = 2_000
"""Rows that the first version is trained on."""
ACCEPTED_ROWS: Final = 1_000
"""Rows after them: the hold-out of its acceptance."""
STREAM_START: Final = FIRST_ROWS + ACCEPTED_ROWS
BLOCK_SECONDS: Final = 300
PARTS: Final = 5
"""Parts of a block, a minute each, in which rows arrive: a canary has blocks of a minute."""
PART_SECONDS: Final = BLOCK_SECONDS // PARTS
GENERATED_ROWS: Final = 50_000
NOISE: Final = 0.1
SEA_THRESHOLDS: Final = (8.0, 9.0, 7.0, 9.5)
"""Sums of the first two numbers at which the class changes, by quarter (Street and Kim, 2001)."""
VOLUMES: Final = {
    "ELB": "elb_request_count_8c0756",
    "AMZN": "Twitter_volume_AMZN",
    "KO": "Twitter_volume_KO",
}
"""Files of the Numenta Anomaly Benchmark: requests or messages in each five minutes."""


class InvalidStreamError(Exception):
    """A stream can't be read; the message has the way out."""


@dataclass(frozen=True)
class Stream:
    """Labelled rows in the order of their arrival.

    Attributes
    ----------
    name : that of the results.
    features : shape (rows, columns). labels : shape (rows,).
    rows_per_block : number in a block of 300 s.
    drifts : rows at which the concept is known to change.
    volume : numbers in each block, from `STREAM_START` on, if they vary;
        `rows_per_block` after its end.
    """

    name: str
    features: NDArray[np.float64]
    labels: NDArray[np.int64]
    rows_per_block: int
    drifts: tuple[int, ...] = ()
    volume: tuple[int, ...] = ()

    def ends(self, parts: int) -> Iterator[int]:
        """Yield the row after the last one that has arrived, by part of a block, to the end."""
        end = STREAM_START
        for rows in chain(self.volume, repeat(self.rows_per_block)):
            for part in range(1, parts + 1):
                if end + round((part - 1) * rows / parts) >= len(self.labels):
                    return
                yield min(end + round(part * rows / parts), len(self.labels))
            end += rows

    def row_at(self, seconds: float) -> int:
        """Return the row that arrives this many seconds after `STREAM_START`."""
        blocks, arrived = seconds / BLOCK_SECONDS, np.cumsum([0, *self.volume])
        later = max(blocks - len(self.volume), 0) * self.rows_per_block
        return STREAM_START + round(
            float(np.interp(blocks, np.arange(len(arrived)), arrived)) + later
        )

    def first(self, rows: int | None) -> Stream:
        """Return its first rows only; all of it for None."""
        if rows is None or rows >= len(self.labels):
            return self
        kept = tuple(row for row in self.drifts if row < rows)
        return replace(self, features=self.features[:rows], labels=self.labels[:rows], drifts=kept)

    def shuffled(self, seed: int) -> Stream:
        """Return the same rows in a random order, without drift."""
        order = np.random.default_rng(seed).permutation(len(self.labels))
        return replace(
            self,
            name=f"{self.name}-shuffled",
            features=self.features[order],
            labels=self.labels[order],
            drifts=(),
        )


def parse(argument: str) -> Stream:
    """Read the stream of `NAME=FEATURES.csv,LABELS.csv,ROWS_PER_BLOCK`.

    Raises
    ------
    InvalidStreamError
        The argument or a file is invalid.
    """
    name, _, rest = argument.partition("=")
    parts = rest.split(",")
    if not name or len(parts) != 3:  # noqa: PLR2004 - as the message says
        raise InvalidStreamError(
            f"--stream {argument}: write NAME=FEATURES.csv,LABELS.csv,ROWS_PER_BLOCK"
        )
    features, labels, rows = parts
    if not rows.isdigit() or int(rows) < 1:
        raise InvalidStreamError(
            f"--stream {name}: {rows!r} rows a block; write a whole number from 1"
        )
    return of_files(name, Path(features), Path(labels), int(rows))


def of_files(
    name: str,
    features: Path,
    labels: Path,
    rows_per_block: int,
    *,
    without: Sequence[int] = (),
    drifts: tuple[int, ...] = (),
) -> Stream:
    """Read a stream of two files without header, whose numbers commas or spaces separate.

    Parameters
    ----------
    without : columns of the features that are left out.
    """
    table = np.delete(_table(features), list(without), axis=1)
    column = _table(labels)
    if column.shape[1] != 1 or len(column) != len(table):
        raise InvalidStreamError(
            f"--stream {name}: {labels} has {len(column)} rows and {column.shape[1]} columns;"
            f" write one label a line for each of the {len(table)} rows of {features}"
        )
    if len(table) <= STREAM_START:
        raise InvalidStreamError(
            f"--stream {name}: {len(table)} rows; the first {STREAM_START} train and accept a"
            " version, so a stream needs more"
        )
    values = np.unique(column)
    classes = np.searchsorted(values, column[:, 0]).astype(np.int64)
    return Stream(name, table, classes, rows_per_block, drifts)


def _text(path: Path) -> str:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt") as file:
            return str(file.read())
    except OSError as error:
        raise InvalidStreamError(f"{path} can't be read: {error.strerror or error}") from error


def _table(path: Path) -> NDArray[np.float64]:
    rows = [line.replace(",", " ").split() for line in _text(path).splitlines() if line.strip()]
    try:
        table = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise InvalidStreamError(
            f"{path} must hold numbers only, as many in each line: {error}"
        ) from error
    if table.ndim != 2 or not table.size:  # noqa: PLR2004 - rows and columns
        raise InvalidStreamError(f"{path} holds no rows")
    return table


def sea(rows: int = GENERATED_ROWS, seed: int = 7) -> Stream:
    """Generate SEA concepts: three numbers, of which two determine the class, with three abrupt changes."""
    random = np.random.default_rng(seed)
    table = random.uniform(0, 10, size=(rows, 3))
    edges = [rows * part // 4 for part in (1, 2, 3)]
    limits = np.repeat(SEA_THRESHOLDS, np.diff([0, *edges, rows]))
    labels = (table[:, 0] + table[:, 1] <= limits).astype(np.int64)
    labels ^= random.random(rows) < NOISE
    return Stream("sea-generated", table, labels, 50, tuple(edges))


def rotating(rows: int = GENERATED_ROWS, seed: int = 7) -> Stream:
    """Generate a plane that slowly rotates by half a turn: a decay without a moment of change."""
    random = np.random.default_rng(seed)
    table = random.normal(size=(rows, 2))
    angle = np.linspace(0, np.pi, rows)
    labels = (np.cos(angle) * table[:, 0] + np.sin(angle) * table[:, 1] > 0).astype(np.int64)
    labels ^= random.random(rows) < NOISE
    return Stream("rotating", table, labels, 50)


def at_volume(stream: Stream, name: str, path: Path) -> Stream:
    """Return the stream with the counts of a file as its volume: a header, then times and counts.

    If their sum exceeds the stream's rows, all are scaled down by the same factor.
    """
    counts = np.cumsum([0, *_counts(path)])
    rows = len(stream.labels) - STREAM_START
    arrived = counts if counts[-1] <= rows else counts * rows // counts[-1]
    kept = stream.first(STREAM_START + int(arrived[-1]))
    volume = tuple(np.diff(arrived).tolist())
    return replace(kept, name=f"{stream.name}-{name}", volume=volume)


def _counts(path: Path) -> list[int]:
    lines = _text(path).splitlines()[1:]
    try:
        return [round(float(line.rpartition(",")[2])) for line in lines if line.strip()]
    except ValueError as error:
        raise InvalidStreamError(
            f"{path} must hold a time and a count in each line after the first: {error}"
        ) from error


def steady(rows: int = GENERATED_ROWS, seed: int = 7) -> Stream:
    """Generate one concept of SEA, without drift."""
    random = np.random.default_rng(seed)
    table = random.uniform(0, 10, size=(rows, 3))
    labels = (table[:, 0] + table[:, 1] <= SEA_THRESHOLDS[0]).astype(np.int64)
    labels ^= random.random(rows) < NOISE
    return Stream("steady", table, labels, 50)


def generated(rows: int = GENERATED_ROWS) -> tuple[Stream, ...]:
    """Return the streams without files."""
    return sea(rows), rotating(rows), steady(rows)


def published(folder: Path) -> tuple[Stream, ...]:
    """Return Elec2 and SEA as published, from a folder with their files; missing ones are skipped."""
    streams = []
    if (folder / "elec2_data.dat.gz").exists():
        streams.append(
            of_files(
                "elec2",
                folder / "elec2_data.dat.gz",
                folder / "elec2_label.dat.gz",
                48,
                without=(0,),
            )
        )
    if (folder / "sea_data.csv.gz").exists():
        streams.append(
            of_files(
                "sea",
                folder / "sea_data.csv.gz",
                folder / "sea_class.csv.gz",
                50,
                drifts=(12_500, 25_000, 37_500),
            )
        )
    return tuple(streams)


def at_volumes(folder: Path) -> Iterator[Stream]:
    """Yield generated streams at each volume of the folder: one with drift, and one without."""
    for name, file in VOLUMES.items():
        path = folder / f"{file}.csv.gz"
        if path.exists():
            yield from (at_volume(stream, name, path) for stream in (sea(), steady()))
