"""Logs as one JSON object a line, each with its product and reconcile.

Both are context variables, so code that logs needn't pass them on. Credentials are removed from all
lines: libraries put URLs and headers into messages.
"""

import contextlib
import json
import logging
import secrets
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, NamedTuple

from aiohttp.http_exceptions import HttpProcessingError
from typing_extensions import override

from sluicegate.kube.resources import Key
from sluicegate.runtime.redaction import redact, redact_values
from sluicegate.spans import TRACE


class Reconcile(NamedTuple):
    """Product and id of one reconcile, for its log lines."""

    namespace: str
    product: str
    id: str


RECONCILE: ContextVar[Reconcile | None] = ContextVar("reconcile", default=None)

STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""Attributes of every log record; others are from `extra`."""

DECISIONS = "sluicegate.decisions"
"""Logger with a line for each decision, whatever the level: a record to ship."""

QUIET_LEVELS = {"kopf.objects": logging.WARNING, "aiohttp.access": logging.WARNING}
"""Levels of loggers that would otherwise write a line for each event or probe."""


@contextlib.contextmanager
def reconcile_context(key: Key) -> Iterator[str]:
    """Add the product and a new id to the log lines of one reconcile; yield the id."""
    reconcile = Reconcile(key.namespace, key.name, secrets.token_hex(4))
    token = RECONCILE.set(reconcile)
    try:
        yield reconcile.id
    finally:
        RECONCILE.reset(token)


class JsonFormatter(logging.Formatter):
    """Formatter with one JSON object a record; other values become text."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Format a record as a line."""
        return json.dumps(redact_values(fields_of(record, self)), ensure_ascii=False)


def fields_of(log_record: logging.LogRecord, log_formatter: logging.Formatter) -> dict[str, Any]:
    """Return the fields of a record, in the order in which a person reads them."""
    fields: dict[str, Any] = {
        "ts": datetime.fromtimestamp(log_record.created, UTC).isoformat(timespec="milliseconds"),
        "level": log_record.levelname.lower(),
        "logger": log_record.name,
        "message": log_record.getMessage(),
    }
    if (reconcile := RECONCILE.get()) is not None:
        fields |= {
            "namespace": reconcile.namespace,
            "product": reconcile.product,
            "reconcile_id": reconcile.id,
        }
    if trace_id := TRACE.get():
        fields["trace_id"] = trace_id
    extra_fields = {
        key: value for key, value in log_record.__dict__.items() if key not in STANDARD_FIELDS
    }
    fields |= {key: value for key, value in extra_fields.items() if key not in fields}
    if log_record.exc_info:
        fields["exception"] = log_formatter.formatException(log_record.exc_info)
    return fields


class TextFormatter(logging.Formatter):
    """Formatter for a terminal."""

    @override
    def format(self, record: logging.LogRecord) -> str:
        """Format time, level, product and message."""
        reconcile = RECONCILE.get()
        product = f" [{reconcile.namespace}/{reconcile.product}]" if reconcile else ""
        line = f"{self.formatTime(record)} {record.levelname}{product} {record.getMessage()}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        return redact(line)


def configure_logging(log_level: str, log_formatter: logging.Formatter) -> None:
    """Send all logs to standard error, from `level` on; warnings of the interpreter too."""
    handler = logging.StreamHandler()
    handler.setFormatter(log_formatter)
    root_logger = logging.getLogger()
    root_logger.handlers[:] = [handler]
    root_logger.setLevel(log_level.upper())
    logging.captureWarnings(capture=True)
    for name, quiet_level in QUIET_LEVELS.items():
        logging.getLogger(name).setLevel(quiet_level)
    logging.getLogger(DECISIONS).setLevel(logging.INFO)
    logging.getLogger("aiohttp.server").addFilter(is_fault_of_this_side)


def is_fault_of_this_side(log_record: logging.LogRecord) -> bool:
    """Return whether a record is about a server error rather than a malformed request."""
    error = log_record.exc_info[1] if log_record.exc_info else None
    return not isinstance(error, HttpProcessingError)
