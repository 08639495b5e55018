"""The sample products, built once a session, and a registry. These tests take minutes of one core."""

import os
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from tests.support.processes.loopback_registry import loopback_registry
from tests.support.samples.products import (
    SOURCES,
    ServedProduct,
    build,
    feedback_secret,
    identity,
    served,
)
from used_car_market import Market

# The products' own packages, which lie in no distribution: a bento carries them.
sys.path.extend(str(source) for source in SOURCES.values())
# It needs a clone of BentoML's repository, which only the workflow has.
collect_ignore = [] if "BENTOML_EXAMPLES" in os.environ else ["test_bentoml_originals.py"]


@pytest.hookimpl(tryfirst=True)  # before tests/support/runs/scheduling.py doubles what it finds
def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Limit the computations of this process to one thread, as in training Jobs."""
    with threadpool_limits(limits=1):
        yield


@pytest.fixture(scope="session")
def market() -> Market:
    return Market(seed=7, today=date(2026, 3, 1))


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bentos")


@pytest.fixture(scope="session")
def pricing_bento(folder: Path, market: Market) -> Path:
    return build(SOURCES["pricing"], folder / "pricing-v1", market=market)


@pytest.fixture(scope="session")
def ranking_bento(folder: Path, market: Market) -> Path:
    return build(SOURCES["search-ranking"], folder / "ranking-v1", market=market)


@pytest.fixture(scope="session")
def registry(folder: Path) -> Iterator[str]:
    with loopback_registry(folder / "registry") as host:
        yield host


@pytest.fixture(scope="session")
def secret(folder: Path) -> Path:
    return feedback_secret(folder / "secret")


@pytest.fixture(scope="session")
def pricing(pricing_bento: Path, folder: Path, secret: Path) -> Iterator[ServedProduct]:
    with served(pricing_bento, folder / "pricing", **identity("pricing", "v1", secret)) as product:
        yield product


@pytest.fixture(scope="session")
def ranking(
    ranking_bento: Path, folder: Path, secret: Path, pricing: ServedProduct
) -> Iterator[ServedProduct]:
    variables = identity("search-ranking", "v1", secret) | {"PRICING_URL": pricing.url}
    with served(ranking_bento, folder / "ranking", **variables) as product:
        yield product
