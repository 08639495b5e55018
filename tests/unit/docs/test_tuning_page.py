"""The commands of the page on tuning, one after the other, as a reader types them."""

from __future__ import annotations

import re
import shlex
import time
from pathlib import Path

import pytest
import yaml

from benchmarks.prometheus_stand_in import PrometheusStandIn
from sluicegate.__main__ import main
from sluicegate.api.base import rfc3339
from tests.support.decisions.scenarios import product
from tests.support.prometheus.measured_world import ProductBlocks, World
from tests.support.prometheus.scripted_prometheus import hosted

pytestmark = pytest.mark.slow

PAGE = Path(__file__).resolve().parents[3] / "docs/tuning.md"
BLOCK = re.compile(r"^```console\n(.*?)^```", re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    return [shlex.split(line) for block in BLOCK.findall(text) for line in block.splitlines()]


def test_each_command_of_the_tuning_page_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    """A day instead of fourteen, and the object from a file, as no cluster is here."""
    stable = {
        "version": "v1", "image": "registry.example/m@sha256:0", "runtimeImage": "",
        "revision": "", "source": "Spec", "promotionTime": rfc3339(int(time.time()) - 86_400),
    }  # fmt: skip
    document = {**product(), "metadata": {"namespace": "shop", "name": "pricing"}}
    (tmp_path / "product.yaml").write_text(yaml.safe_dump(document))
    live = {**document, "status": {"stable": stable}}
    (tmp_path / "live.yaml").write_text(yaml.safe_dump(live))
    monkeypatch.chdir(tmp_path)
    done = []

    with hosted(PrometheusStandIn(World([ProductBlocks("shop", "pricing", bad=1)]))) as server:
        monkeypatch.setenv("SLUICEGATE_PROMETHEUS_URL", server.url)
        for words in commands():
            if words[0] == "export":
                assert words[1].startswith("SLUICEGATE_PROMETHEUS_URL=")
                continue
            assert words[0] == "sluicegate"
            offline = ["--from-file", "live.yaml", "--days", "0.5"]
            more = offline if words[1] == "record" else []
            assert main([*words[1:], *more]) == 0, capsys.readouterr().err
            done.append(words[1])

    assert set(done) == {"record", "replay", "tune"}
    assert {path.name for path in tmp_path.iterdir()} >= {"history.yaml", "other.yaml", "tune.svg"}
