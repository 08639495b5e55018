"""What ledgers cost, counted exactly at a few products: the benchmark of thousands, on a real API server."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCTS = 4


@pytest.mark.timeout(400)
def test_a_review_takes_one_write_per_product_and_day():
    command = [sys.executable, "-m", "benchmarks.ledger", "--products", str(PRODUCTS)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout)
    writes = {name: found[name]["writes"] for name in ("restart", "day")}
    assert writes == {"restart": 0, "day": PRODUCTS}
    assert found["waiting"]["start"]["writes"] == found["waiting"]["later"]["writes"] == 0
    assert found["waiting"]["reviews"] == PRODUCTS
