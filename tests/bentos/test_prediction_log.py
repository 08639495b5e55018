"""The log of predictions of a real service: labels are joined, no answer waits, and no row is lost at the end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import psutil
import pytest
import requests

from sluicegate_service.log_settings import LogSettings
from sluicegate_service.log_stores import REQUEST_SECONDS, store_of
from sluicegate_service.warehouse import LabelledRow, Warehouse
from tests.bentos.test_token_headers import build, feedback
from tests.support.processes.object_store import CREDENTIALS, object_store
from tests.support.processes.running import free_port
from tests.support.samples.products import ServedProduct, identity, launched
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BUCKET = "predictions"
GRACE_SECONDS = 15
"""More than the operator's DRAIN_SECONDS, for a busy machine."""
PLACE = {"field": "result.double", "id": {"header": "x-order-id"}}


@pytest.fixture(scope="module")
def bento(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("service:Doubled", tmp_path_factory.mktemp("doubled"))


def variables(secret: Path, target: dict[str, Any]) -> dict[str, str]:
    """Return the variables of a pod that logs all its predictions."""
    features = {"redact": ["order"], "person": "order"}
    log = {"sample": 100, "features": features, "to": target, "retentionDays": 30}
    return identity("doubled", "v1", secret) | {
        "SLUICEGATE_LOG": json.dumps(log),
        "SLUICEGATE_PREDICTION": json.dumps(PLACE),
    }


def warehouse(variables: dict[str, str]) -> Warehouse:
    settings = LogSettings.from_environment(variables)
    assert settings is not None
    return Warehouse(store_of(settings), settings.namespace, settings.product)


def labelled_rows(warehouse: Warehouse) -> list[LabelledRow]:
    now = datetime.now(UTC)
    return warehouse.labelled(now - timedelta(hours=1), now + timedelta(hours=1))


def labelled(warehouse: Warehouse) -> list[tuple[Any, Any, Any]]:
    return [(row.features, row.prediction, row.truth) for row in labelled_rows(warehouse)]


def written(product: ServedProduct) -> float:
    return product.counters("sluicegate_log_rows_written_total")[()]


def test_the_prediction_log_joins_predictions_and_labels_in_files(bento, secret, tmp_path):
    given = variables(secret, {"file": {"path": str(tmp_path / "log")}})
    with launched(bento, tmp_path, **given) as product:
        for number in (1, 2):
            answer = product.post("/double", {"number": number, "order": "c-1"})
            assert answer.json() == {"result": {"double": 2 * number}, "order": "c-1"}
            token = answer.headers["sluicegate-token"]
            assert feedback(product, {"token": token, "truth": 2})["counted"] == 1
        product.post("/double", {"number": 3}, **{"x-order-id": "o-1"})
        assert feedback(product, {"id": "o-1", "truth": 6})["logged"] == 1
        eventually(lambda: written(product) == 6, seconds=30, what="the rows")
    monitored = [row.monitored for row in labelled_rows(warehouse(given))]
    assert monitored == [{"doubles": {"number": one, "double": 2 * one}} for one in (1, 2, 3)]
    rows = labelled(warehouse(given))
    assert rows == [({"number": 1}, 2, 2), ({"number": 2}, 4, 2), ({"number": 3}, 6, 6)]
    assert warehouse(given).forget("c-1") == 2
    assert labelled(warehouse(given)) == [({"number": 3}, 6, 6)]


def test_no_prediction_is_lost_when_a_pod_is_replaced_under_load(bento, secret, tmp_path):
    given = variables(secret, {"file": {"path": str(tmp_path / "log")}})
    answered: set[int] = set()
    ended = threading.Event()

    def ask(product: ServedProduct, first: int) -> None:
        with requests.Session() as session:
            for number in range(first, first + 100_000):
                if ended.is_set():
                    return
                try:
                    answer = session.post(
                        f"{product.url}/double", json={"number": number}, timeout=30
                    )
                except requests.RequestException:
                    return
                if answer.ok:
                    answered.add(number)

    with launched(bento, tmp_path, **given) as product, ThreadPoolExecutor(4) as callers:
        asking = [callers.submit(ask, product, first * 100_000) for first in range(4)]
        eventually(lambda: len(answered) > 200, seconds=60, what="some answers")
        (pid,) = pids(product)
        os.kill(pid, signal.SIGTERM)
        eventually(lambda: not pids(product), seconds=60, what="the end of the pod")
        ended.set()
        for each in asking:
            each.result(60)
    store = warehouse(given).store
    logged = {
        json.loads(line)["features"]["number"]
        for date in store.dates()
        for name in store.names(date)
        for line in store.read(date, name).splitlines()
    }
    assert answered <= logged
    assert len(logged - answered) <= 4, "an answer may be on its way when its caller stops"


def pids(product: ServedProduct) -> list[int]:
    """Return the processes of a product's launcher."""
    port = product.url.rpartition(":")[2]
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if {"sluicegate_service.launcher", port} <= set(process.info["cmdline"] or ())
        and process.status() != psutil.STATUS_ZOMBIE
    ]


def test_an_unwritable_prediction_log_is_reported_in_metrics_and_pod_log(bento, secret, tmp_path):
    (tmp_path / "file").write_text("")
    given = variables(secret, {"file": {"path": str(tmp_path / "file")}})
    with launched(bento, tmp_path, **given) as product:
        assert product.post("/double", {"number": 1}).ok
        eventually(
            lambda: product.counters("sluicegate_log_writes_failed_total")[()] > 0,
            seconds=30,
            what="a write that fails",
        )
        assert product.counters("sluicegate_log_rows_held") == {(): 1}
        warning = f"{tmp_path}/file/catalog/doubled: "
        eventually(lambda: warning in product.log.read_text(), seconds=30, what="the warning")


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Yield a store that accepts connections, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)
        yield listener


def test_responses_and_pod_termination_do_not_wait_for_an_unresponsive_store(
    bento, secret, tmp_path, silent
):
    endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
    target = {"s3": {"bucket": BUCKET, "endpoint": endpoint, "region": "any"}}
    held: list[socket.socket] = []

    def is_asked() -> bool:
        with contextlib.suppress(TimeoutError):
            held.append(connections.enter_context(silent.accept()[0]))
        return bool(held)

    with (
        contextlib.ExitStack() as connections,
        launched(bento, tmp_path, **variables(secret, target), **CREDENTIALS) as product,
    ):
        assert timed(product) > 0, "a row to write"
        eventually(is_asked, seconds=60, what="a request to the store")
        slowest = max(timed(product) for _ in range(200))
        assert written(product) == 0
        assert slowest < REQUEST_SECONDS, "the store's own time-outs are at least as long"
        (pid,) = pids(product)
        os.kill(pid, signal.SIGTERM)
        begin = time.monotonic()
        eventually(lambda: not pids(product), seconds=60, what="the end of the pod")
        assert time.monotonic() - begin < GRACE_SECONDS


def timed(product: ServedProduct) -> float:
    begin = time.monotonic()
    assert product.post("/double", {"number": 1}).ok
    return time.monotonic() - begin


def test_rows_reach_a_bucket_after_its_outage_and_labels_are_joined(
    bento, secret, tmp_path, monkeypatch
):
    port = free_port()
    target = {
        "s3": {
            "bucket": BUCKET,
            "prefix": "a/b",
            "endpoint": f"http://127.0.0.1:{port}",
            "region": "any",
        }
    }
    given = variables(secret, target)
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with launched(bento, tmp_path, **given, **CREDENTIALS) as product:
        for number in (1, 2):
            answer = product.post("/double", {"number": number, "order": f"c-{number}"})
            token = answer.headers["sluicegate-token"]
            assert feedback(product, {"token": token, "truth": 2})["counted"] == 1
        with object_store(port, BUCKET, tmp_path / "s3.log"):
            eventually(lambda: written(product) == 4, seconds=120, what="the rows")
            found = warehouse(given)
            assert labelled(found) == [({"number": 1}, 2, 2), ({"number": 2}, 4, 2)]
            assert found.forget("c-1") == 1
            assert labelled(found) == [({"number": 2}, 4, 2)]
            (date,) = found.store.dates()
            found.store.remove(date)
            assert found.store.names(date) == []
