"""A log of predictions as pods write it: requests with one prediction each, and its label."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sluicegate_service.answers import Noted
from sluicegate_service.log_rows import Labelled, Served
from sluicegate_service.log_settings import LogSettings
from sluicegate_service.log_stores import store_of
from sluicegate_service.tokens import CallerId

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def log_variable(folder: Path) -> dict[str, str]:
    """Return the operator's variable of a product that logs to a volume, which is a folder here."""
    folder.mkdir(parents=True, exist_ok=True)
    return {"SLUICEGATE_LOG": json.dumps({"sample": 100, "to": {"file": {"path": str(folder)}}})}


def write_log(variables: dict[str, str], rows: Iterable[tuple[datetime, Any, Any]]) -> None:
    """Write rows: time of the label, the request's JSON, and the true value.

    Parameters
    ----------
    variables : the log's, with the product's namespace and name unless they are "local".
    """
    settings = LogSettings.from_environment(variables)
    assert settings is not None
    lines: dict[str, list[bytes]] = {}
    for number, (moment, features, truth) in enumerate(rows):
        caller_id, seconds = CallerId(f"request {number}"), moment.timestamp()
        row = Served(
            seconds - 60, "/predict", json.dumps(features).encode(), b"",
            (Noted(None, caller_id=caller_id),), True, "", "v1", "0123",
        )  # fmt: skip
        label = Labelled(seconds, caller_id.identity, truth)
        date = datetime.fromtimestamp(seconds, UTC).date().isoformat()
        lines.setdefault(date, []).extend((*row.lines(settings), *label.lines(settings)))
    for date, each in lines.items():
        store_of(settings).add(date, "12-pod", b"".join(each))
