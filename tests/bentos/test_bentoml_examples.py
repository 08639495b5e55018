"""Bentos as BentoML's own examples, without a line for Sluicegate, served as in a pod.

Those in `styles` are in BentoML's documentation. The others are small equivalents of `inference-graph`, `io-descriptors` and `task_classification`; the
originals are in test_bentoml_originals.py.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
import requests

from sluicegate.__main__ import main
from tests.support.samples.bentos import bento_environment
from tests.support.samples.products import ONE_THREAD, launched, pull
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.samples.products import ServedProduct

EXAMPLES = Path(__file__).resolve().parents[1] / "data" / "examples"


def of_graph(product: ServedProduct) -> None:
    answer = product.post("/compare", {"sentence": "so"})
    assert answer.json() == [{"text": "SO", "score": 0.02}, {"text": "so so so", "score": 0.08}]


def of_tables(product: ServedProduct) -> None:
    table = [{"price": 1.0, "age": 3.0}, {"price": 3.0, "age": 5.0}]
    assert product.post("/mean", {"table": table}).json() == [2.0, 4.0]
    sent = {"file": ("a.txt", "one\n", "text/plain")}
    answer = requests.post(f"{product.url}/append", data={"line": "two"}, files=sent, timeout=30)
    assert answer.text == "one\ntwo"


def of_flowers(product: ServedProduct) -> None:
    rows = [[5.1, 3.5, 1.4, 0.2], [6.3, 3.3, 6.0, 2.5]]
    assert product.post("/classify", {"rows": rows}).json() == [0, 2]
    assert product.post("/classify", {"rows": [[1.0]]}).status_code == 400


def of_styles(product: ServedProduct) -> None:
    words = requests.post(f"{product.url}/words", json={"count": 2}, timeout=30)
    assert words.text == "servus 0\nservus 1\n"
    task = product.post("/doubled/submit", {"count": 3}).json()["task_id"]
    task_url = f"{product.url}/doubled/get?task_id={task}"
    eventually(
        lambda: requests.get(task_url, timeout=30).text == "6", seconds=30, what="the task's result"
    )
    assert asyncio.run(talked(f"{product.url}/chat/talk")) == "servus you"


async def talked(url: str) -> str:
    """Send a text by a WebSocket; the answer."""
    async with aiohttp.ClientSession() as session, session.ws_connect(url) as socket:
        await socket.send_str("you")
        return await socket.receive_str()


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        pytest.param("graph", of_graph, marks=pytest.mark.nightly),
        pytest.param("tables", of_tables, marks=pytest.mark.nightly),
        ("flowers", of_flowers),
        ("styles", of_styles),
    ],
)
def test_a_bento_of_bentomls_examples_is_packed_and_served(
    name: str, asked, registry: str, tmp_path: Path, capsys, monkeypatch
):
    project = shutil.copytree(EXAMPLES / name, tmp_path / name)
    home = tmp_path / "home"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    train = ["train.py"] if (project / "train.py").exists() else []
    for arguments in ([train] if train else []) + [["-m", "bentoml", "build", "--version", "v1"]]:
        subprocess.run(
            [sys.executable, *arguments], cwd=project, check=True, capture_output=True,
            env=bento_environment(home, **ONE_THREAD),
        )  # fmt: skip

    reference = f"{registry}/examples/{name}"
    assert main(["pack", f"{name}:v1", reference, "--plain-http", "--quiet"]) == 0
    bento = pull(capsys.readouterr().out.strip(), tmp_path / "mounted")

    with launched(
        bento, tmp_path / "served", SLUICEGATE_NAMESPACE="shop", SLUICEGATE_PRODUCT=name,
        SLUICEGATE_VERSION="v1",
    ) as product:  # fmt: skip
        asked(product)
        assert any(product.counters("bentoml_service_request_total").values())


def test_a_service_with_an_upstream_product_is_ready_without_it_and_calls_it(
    tmp_path: Path,
):
    """BentoML's readiness requests the /readyz of the other server, which no route of a product has."""
    home = tmp_path / "home"
    subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--version", "v1"], cwd=EXAMPLES / "styles",
        check=True, capture_output=True, env=bento_environment(home, **ONE_THREAD),
    )  # fmt: skip
    bento = next(home.rglob("styles/v1"))
    pod = {
        "SLUICEGATE_NAMESPACE": "shop",
        "SLUICEGATE_PRODUCT": "styles",
        "SLUICEGATE_VERSION": "v1",
    }
    with (
        launched(bento, tmp_path / "upstream", **pod) as upstream,
        launched(bento, tmp_path / "consumer", UPSTREAM=upstream.url, **pod) as consumer,
    ):
        assert consumer.post("/relayed", {"count": 3}).json() == 9
