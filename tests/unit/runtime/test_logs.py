"""Log lines: one JSON object each, with what belongs to it, and without secrets."""

from __future__ import annotations

import io
import json
import logging
import warnings

import pytest

from sluicegate.kube.resources import Key
from sluicegate.runtime.logs import (
    JsonFormatter,
    TextFormatter,
    configure_logging,
    reconcile_context,
)
from sluicegate.spans import TRACE

KEY = Key("catalog", "search")
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.fixture
def logged():
    """Yield lines that the configured logging has written, as text."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logging.captureWarnings(capture=False)  # a command that ran before may have begun it

    def configure(threshold: str, formatter: logging.Formatter) -> io.StringIO:
        configure_logging(threshold, formatter)
        stream = io.StringIO()
        (handler,) = root.handlers
        assert isinstance(handler, logging.StreamHandler)
        handler.setStream(stream)
        return stream

    yield configure
    logging.captureWarnings(capture=False)
    root.handlers[:] = before
    root.setLevel(level)


def test_a_log_line_has_all_its_fields_and_includes_its_exception(logged):
    stream = logged("Info", JsonFormatter())
    token = TRACE.set("0af7651916cd43dd8448eb211c80319c")
    with reconcile_context(KEY) as reconcile:
        try:
            raise ValueError("one\ntwo")  # noqa: TRY301  # the traceback is the point
        except ValueError:
            logging.getLogger("sluicegate.x").exception("it\n%s", "failed", extra={"weight": 5})
    TRACE.reset(token)
    (text,) = stream.getvalue().splitlines()
    line = json.loads(text)
    assert list(line)[:4] == ["ts", "level", "logger", "message"]
    assert line["ts"].endswith("+00:00")
    assert (line["level"], line["logger"], line["message"]) == (
        "error",
        "sluicegate.x",
        "it\nfailed",
    )
    assert (line["namespace"], line["product"]) == ("catalog", "search")
    assert line["reconcile_id"] == reconcile
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert line["weight"] == 5
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: one\ntwo")


def test_a_field_of_a_log_message_does_not_override_a_standard_field(logged):
    stream = logged("Info", JsonFormatter())
    with reconcile_context(KEY):
        logging.getLogger("x").info("found", extra={"product": "another", "level": "high"})
    line = json.loads(stream.getvalue())
    assert (line["product"], line["level"]) == ("search", "info")


def test_log_lines_outside_of_a_reconcile_have_no_product(logged):
    stream = logged("Info", JsonFormatter())
    logging.getLogger("x").info("idle")
    assert list(json.loads(stream.getvalue())) == ["ts", "level", "logger", "message"]


@pytest.mark.parametrize(
    ("level", "written"),
    [
        ("Debug", ["debug", "info", "warning", "error"]),
        ("Info", ["info", "warning", "error"]),
        ("Warning", ["warning", "error"]),
        ("Error", ["error"]),
    ],
)
def test_the_log_level_is_a_setting(logged, level, written):
    stream = logged(level, JsonFormatter())
    logger = logging.getLogger("sluicegate.x")
    for method in (logger.debug, logger.info, logger.warning, logger.error):
        method("said")
    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == written


def test_warnings_of_python_are_log_lines(logged):
    stream = logged("Info", JsonFormatter())
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("this will go away", DeprecationWarning, stacklevel=1)
    line = json.loads(stream.getvalue())
    assert line["logger"] == "py.warnings"
    assert "this will go away" in line["message"]


@pytest.mark.parametrize("formatter", [JsonFormatter(), TextFormatter()], ids=["Json", "Text"])
@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ('headers {"Authorization": "Bearer abc.def-123"}', "abc.def-123"),
        ("{'Authorization': 'Basic dXNlcjpwYXNz'}", "dXNlcjpwYXNz"),
        ("sent with bearer 0123456789abcdef0123456789", "0123456789abcdef0123456789"),
        (f"token {JWT} was refused", JWT),
        ("Prometheus at http://me:s3cret@prometheus:9090 can't be asked", "s3cret"),
        ("redis://:s3cret@cache/0", "s3cret"),
    ],
)
def test_credentials_are_redacted_in_log_messages_fields_and_tracebacks(
    logged, formatter, text, secret
):
    stream = logged("Info", formatter)
    logger = logging.getLogger("x")
    logger.info(text)
    logger.info("%s", text, extra={"answer": text})
    try:
        raise OSError(text)  # noqa: TRY301  # the same
    except OSError:
        logger.exception("failed")
    assert secret not in stream.getvalue()
    assert stream.getvalue().count("[redacted]") >= 3, "both messages, the traceback"


def test_a_redacted_log_line_is_valid_json():
    record = logging.LogRecord("x", logging.INFO, "f", 1, f'"Bearer {"x" * 30}"\n{JWT}', (), None)
    assert "[redacted]" in json.loads(JsonFormatter().format(record))["message"]
