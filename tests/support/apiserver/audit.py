"""Requests in the API server's audit log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.processes.line_reader import whole_lines

if TYPE_CHECKING:
    from pathlib import Path


def audited(log: Path, *names: str) -> list[dict[str, Any]]:
    """Return the log's entries so far, one per request that was answered.

    With `names` only those that have any of them in quotes: the log of a session is long, and the
    others needn't be parsed to be passed over.

    An answered request is in the log whole, and others may be written while it is read.

    Raises
    ------
    AssertionError
        The log was rotated, so what came before is elsewhere.
    """
    put_aside = sorted(log.parent.glob(f"{log.stem}-*{log.suffix}"))
    assert not put_aside, f"the log has only what came after {put_aside[-1].name}"
    desired = [json.dumps(name).encode() for name in names]
    return [
        json.loads(line)
        for line in whole_lines(log)
        if not desired or any(name in line for name in desired)
    ]
