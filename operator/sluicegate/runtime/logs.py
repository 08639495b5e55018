"""Logs as one JSON object a line, each with the product and the reconcile it belongs to.

The two come from context variables, so code that logs needn't carry them around.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from typing_extensions import override

if TYPE_CHECKING:
    from collections.abc import Iterator

PRODUCT: ContextVar[str] = ContextVar("product", default="")
RECONCILE: ContextVar[str] = ContextVar("reconcile", default="")

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}
"""Attributes every record has; others came by `extra`."""

QUIET = {"kopf.objects": logging.WARNING, "aiohttp.access": logging.WARNING}
"""Loggers that would write a line per event or probe."""


@contextlib.contextmanager
def reconcile_context(product: str) -> Iterator[str]:
    """Mark what is logged inside as part of one reconcile of one product."""
    reconcile = secrets.token_hex(4)
    product_token, reconcile_token = PRODUCT.set(product), RECONCILE.set(reconcile)
    try:
        yield reconcile
    finally:
        PRODUCT.reset(product_token)
        RECONCILE.reset(reconcile_token)


class JsonFormatter(logging.Formatter):
    """One JSON object per record; what can't be JSON becomes text."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return json.dumps(fields_of(record, self), default=str, ensure_ascii=False)


def fields_of(record: logging.LogRecord, formatter: logging.Formatter) -> dict[str, Any]:
    """Return what a record says, in the order a person reads it."""
    fields: dict[str, Any] = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "logger": record.name,
        "message": record.getMessage(),
    }
    if product := PRODUCT.get():
        fields |= {"product": product, "reconcile": RECONCILE.get()}
    fields |= {key: value for key, value in record.__dict__.items() if key not in STANDARD}
    if record.exc_info:
        fields["traceback"] = formatter.formatException(record.exc_info)
    return fields


class TextFormatter(logging.Formatter):
    """Lines for a person at a terminal."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Return time, level, product and message."""
        product = f" [{PRODUCT.get()}]" if PRODUCT.get() else ""
        line = f"{self.formatTime(record)} {record.levelname}{product} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure_logging(level: str, formatter: logging.Formatter) -> None:
    """Send all logs to standard error, from `level` on."""
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name, quiet in QUIET.items():
        logging.getLogger(name).setLevel(quiet)
