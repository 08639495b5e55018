"""A tenant's large objects, stored before their size was bounded, cost the operator little memory."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
import yaml

from sluicegate.kube.resources import DATA_PRODUCTS
from tests.support.decisions.rollout_world import document

ROOT = Path(__file__).resolve().parents[3]
NUMBER, BYTES = 180, 1_300_000
"""Together 223 MiB: beyond the limit of the operator's memory once they are parsed and kept."""


def limit_mib() -> int:
    """Return the chart's memory limit of the operator, in MiB."""
    values = yaml.safe_load((ROOT / "charts" / "sluicegate" / "values.yaml").read_text())
    return int(values["resources"]["limits"]["memory"].removesuffix("Mi"))


@pytest.mark.heavy
@pytest.mark.slow
async def test_180_large_products_need_less_than_the_operators_memory_limit(server):
    junk = {"junk": "x" * BYTES}
    for number in range(NUMBER):
        body = document()
        body["metadata"] = {"namespace": "tenant", "name": f"large-{number}"}
        body["spec"] = {
            **body["spec"],
            "serving": {**body["spec"]["serving"], "affinity": junk},
        }
        server.keep(DATA_PRODUCTS, body)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "tests.support.processes.large_objects", server.configuration.host),
        cwd=ROOT,
        env={"MALLOC_ARENA_MAX": "1", "PATH": "/usr/bin:/bin"},
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    begun, listed, written, deleted = json.loads(said)
    assert [one["products"] for one in (begun, listed, written, deleted)] == [0, NUMBER, NUMBER, 0]
    assert deleted["most"] < limit_mib() / 3
    assert written["resident"] - begun["resident"] < NUMBER * BYTES / 2**20 / 3
