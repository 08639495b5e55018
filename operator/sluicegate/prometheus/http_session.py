"""The HTTP session of prometheus-api-client, with deadlines, forms and checked answers.

By default, the library waits indefinitely, retries for ten seconds beyond any timeout, puts a
POST's query into the URL, reads the token only once, and drops status, warnings and result type.
But it accepts a session: this one sends form bodies, reads the token for each request, has one
deadline for a request, and passes on only complete answers.

Rows are passed on while the answer is parsed, and answers are parsed one at a time: parsed JSON
takes ten times the memory of its text, and that of five thousand products would be most of the
operator's memory. Waiting costs nothing, as Python parses one at a time anyway; only urgent queries
don't wait for others.
"""

import json
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

import requests
from typing_extensions import override

from sluicegate.prometheus.access import (
    address_without_user,
    headers_of,
    proxies_of,
    reason_of,
    refusal_of,
)
from sluicegate.prometheus.endpoint import Endpoint
from sluicegate.prometheus.errors import (
    MalformedAnswer,
    PartialAnswer,
    PrometheusUnavailable,
    QueryRejected,
)

T_co = TypeVar("T_co", covariant=True)
Row = dict[str, Any]
"""A row of a range query as JSON: `{"metric": {…}, "values": [[time, "value"], …]}`."""

_ROW: Final = frozenset({"metric", "values"})
_ANNOTATIONS: Final = ("PromQL warning", "PromQL info")
_CHUNK: Final = 2**16
_SERVER_ERROR: Final = 500
_HTTP_TOO_MANY_REQUESTS: Final = 429
_HTTP_OK: Final = 200
_QUOTED_CHARACTERS: Final = 300
"""Characters of an answer that are quoted in a message."""


class Reader(Protocol[T_co]):
    """Consumer of the rows of one query result."""

    def take(self, row: Row) -> None:
        """Read a row, which may have no values; raise `MalformedAnswer` if it is invalid."""

    def result(self) -> T_co:
        """Return the result of all rows; called when the whole answer is valid."""


class CheckedAnswer(requests.Response):
    """A complete and valid query result; the reader's result replaces its rows."""

    def __init__(self, result: object) -> None:
        super().__init__()
        self.status_code = _HTTP_OK
        self._result = result

    @override
    def json(self, **_: Any) -> dict[str, Any]:
        return {"data": {"result": self._result}}


class QuerySession(requests.Session):
    """A session for one thread; every request is a query.

    Attributes
    ----------
    reader
        Factory of the reader of an answer's rows.
    turn
        Lock that is held while an answer is parsed; the sessions of all threads share it.
    """

    reader: Callable[[], Reader[object]]
    turn: Lock

    def __init__(self, endpoint: Endpoint) -> None:
        super().__init__()
        self._endpoint = endpoint
        # A proxy or a netrc of the environment must not change the source of measurements.
        self.trust_env = False
        self.verify = str(endpoint.ca_file) if endpoint.ca_file else True
        self.proxies.update(proxies_of(endpoint))

    @override
    def request(self, method: Any, url: Any, *_: Any, **options: Any) -> CheckedAnswer:
        """Send `options["params"]` as a form; answer within `options["timeout"]` seconds."""
        seconds: float = options["timeout"]
        deadline = monotonic() + seconds
        try:
            with super().request(
                "POST",
                url,
                data=options["params"],
                headers=headers_of(self._endpoint),
                timeout=(min(seconds, self._endpoint.connect_seconds), seconds),
                allow_redirects=False,
                stream=True,
            ) as response:
                body = self._read(response, deadline)
        except (requests.RequestException, OSError) as error:
            address, reason = (
                address_without_user(self._endpoint.url),
                reason_of(error, self._endpoint),
            )
            raise PrometheusUnavailable(
                f"Prometheus at {address} can't be reached: {reason}"
            ) from error
        if session_error := refusal_of(response.status_code, bytes(body), self._endpoint):
            raise QueryRejected(
                f"Prometheus at {address_without_user(self._endpoint.url)} answers HTTP {response.status_code}: {session_error}"
            )
        with self.turn:
            row_reader = self.reader()
            read_rows(response.status_code, body, row_reader.take)
            return CheckedAnswer(row_reader.result())

    def _read(self, response: requests.Response, deadline: float) -> bytearray:
        """Return the body, if it ends before the deadline and within the limit."""
        body = bytearray()
        for chunk in response.iter_content(_CHUNK):
            body += chunk
            if monotonic() > deadline:
                raise PrometheusUnavailable(
                    f"Prometheus was still sending after its time-out ({len(body):,} bytes)"
                )
            if len(body) > self._endpoint.max_answer_bytes:
                raise MalformedAnswer(
                    f"Prometheus' answer exceeds {self._endpoint.max_answer_bytes:,} bytes",
                    is_oversized=True,
                )
        return body


def read_rows(status: int, body: bytearray, take_row: Callable[[Row], None]) -> None:
    """Pass on the rows of a successful and complete answer; raise a PrometheusError otherwise."""

    def take_object(value: Row) -> Row | None:
        if value.keys() >= _ROW:
            take_row(value)
            return None
        return value

    _check_status(status, body)
    try:
        answer_document = json.loads(body, object_hook=take_object)
    except ValueError as error:
        raise MalformedAnswer(f"not JSON but {_excerpt_of(body)}") from error
    for row in _result_rows(answer_document, body):
        if row is None:
            continue
        if not isinstance(row, dict) or not row.get("metric"):
            raise MalformedAnswer(f"a row without metric and values: {row!r:.200}")
        take_row(row)


def _check_status(status: int, body: bytearray) -> None:
    if status >= _SERVER_ERROR or status == _HTTP_TOO_MANY_REQUESTS:
        raise PrometheusUnavailable(f"Prometheus answers HTTP {status}: {_excerpt_of(body)}")
    if status != _HTTP_OK:
        raise QueryRejected(f"Prometheus refuses the query with HTTP {status}: {_excerpt_of(body)}")


def _result_rows(answer_document: object, body: bytearray) -> list[object]:
    """Return the remains of the rows in a complete matrix: None for each that was taken."""
    if not isinstance(answer_document, dict) or answer_document.get("status") != "success":
        raise PrometheusUnavailable(f"Prometheus reports no success: {_excerpt_of(body)}")
    if data_warnings := _data_warnings(answer_document.get("warnings")):
        raise PartialAnswer(f"Prometheus warns that its answer is incomplete: {data_warnings}")
    data = answer_document.get("data")
    if not isinstance(data, dict) or not isinstance(data.get("result"), list):
        raise MalformedAnswer(f"no data.result in {_excerpt_of(body)}")
    if (kind := data.get("resultType")) != "matrix":
        raise MalformedAnswer(f"a range query answers with a matrix, this one with {kind!r}")
    rows: list[object] = data["result"]
    return rows


def _data_warnings(raw_warnings: object) -> list[object]:
    """Return the warnings about missing data.

    Warnings of the engine about series that it left out, such as native histograms, don't
    invalidate the others.
    """
    warning_list = (
        raw_warnings if isinstance(raw_warnings, list) else [raw_warnings] if raw_warnings else []
    )
    return [
        query_warning
        for query_warning in warning_list
        if not str(query_warning).startswith(_ANNOTATIONS)
    ]


def _excerpt_of(body: bytearray) -> str:
    return repr(body[:_QUOTED_CHARACTERS].decode("utf-8", "replace"))
