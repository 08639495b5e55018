"""Samples of the operator's threads, summed by the package that works."""

from __future__ import annotations

import pytest

from benchmarks.profiling import by_package, parse

PYTHON = "/usr/lib/python3.11"
SITE = "/srv/checkout/.venv/lib/python3.11/site-packages"
OWN = "/srv/checkout/operator/sluicegate"
RUN = f"run ({OWN}/handlers.py:50);Runner.run ({PYTHON}/asyncio/runners.py:118)"
SAMPLES = f"""\
{RUN};reconcile ({OWN}/reconcile/reconciler.py:90);loads ({PYTHON}/json/__init__.py:346) 3
{RUN};worker ({SITE}/kopf/_core/reactor/queueing.py:340) 2
{RUN};take ({OWN}/runtime/workqueue.py:160) 4
{RUN} 1
{RUN};select ({PYTHON}/selectors.py:468) 50
run ({PYTHON}/threading.py:982);wait ({PYTHON}/threading.py:327) 60
run ({PYTHON}/threading.py:982);_worker ({PYTHON}/concurrent/futures/thread.py:81) 70
"""


def test_profile_samples_of_waiting_threads_are_not_counted():
    assert sum(parse(SAMPLES).values()) == 10


def test_profile_samples_are_attributed_to_the_package_or_its_caller():
    assert by_package(parse(SAMPLES)) == pytest.approx(
        {"sluicegate/runtime": 0.4, "sluicegate/reconcile": 0.3, "kopf": 0.2,
         "the event loop itself": 0.1}
    )  # fmt: skip
