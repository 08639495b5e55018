"""Which text of Prometheus is an answer, and what every other text is."""

from __future__ import annotations

import json

import pytest

from sluicegate.prometheus.errors import (
    MalformedAnswer,
    PartialAnswer,
    PrometheusUnavailable,
    QueryRejected,
)
from sluicegate.prometheus.http_session import read_rows

ROW = {"metric": {"a": "b"}, "values": [[1, "2"]]}


def envelope(*rows, kind="matrix", **more):
    return {"status": "success", "data": {"resultType": kind, "result": list(rows)}, **more}


def rows_of(status: int, body) -> list:
    found: list = []
    text = body if isinstance(body, str) else json.dumps(body)
    read_rows(status, bytearray(text.encode()), found.append)
    return found


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (envelope(), []),
        (envelope(ROW, ROW), [ROW, ROW]),
        (envelope({"metric": {"a": "b"}, "histograms": []}), [{"metric": {"a": "b"}, "histograms": []}]),
        (envelope(ROW, warnings=["PromQL warning: x", "PromQL info: y"]), [ROW]),
        (envelope(ROW, warnings=None), [ROW]),
    ],
)  # fmt: skip
def test_the_rows_of_a_complete_matrix_response_are_returned(body, rows):
    assert rows_of(200, body) == rows


@pytest.mark.parametrize(
    ("status", "body", "error", "says"),
    [
        (500, "x", PrometheusUnavailable, "HTTP 500: 'x'"),
        (429, "x", PrometheusUnavailable, "HTTP 429"),
        (499, "x", QueryRejected, "HTTP 499"),
        (201, envelope(), QueryRejected, "HTTP 201"),
        (400, "y" * 400, QueryRejected, "'" + "y" * 300 + "'$"),
        (200, "<html>", MalformedAnswer, "not JSON but '<html>'"),
        (200, [], PrometheusUnavailable, "no success"),
        (200, {"status": "error"}, PrometheusUnavailable, "no success"),
        (200, envelope(warnings=["cut"]), PartialAnswer, "cut"),
        (200, envelope(warnings="cut"), PartialAnswer, "cut"),
        (200, {"status": "success"}, MalformedAnswer, "no data.result"),
        (200, {"status": "success", "data": {"result": {}}}, MalformedAnswer, "no data.result"),
        (200, envelope(kind="vector"), MalformedAnswer, "with 'vector'"),
        (200, envelope({"values": []}), MalformedAnswer, "a row without metric and values"),
        (200, envelope(7), MalformedAnswer, "a row without metric and values: 7"),
    ],
)
def test_a_response_that_is_no_matrix_raises_an_error_with_its_content(status, body, error, says):
    with pytest.raises(error, match=says) as caught:
        rows_of(status, body)
    assert type(caught.value) is error
