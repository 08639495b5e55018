"""The pictures of the docs: `pytest --update-golden` takes them, a test compares them with the page."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image, PngImagePlugin
from playwright.async_api import async_playwright

from demo.portfolio import documents
from tests.support.decisions.reviewed import document_of, sealed_month
from tests.support.portfolio.products import (
    WHEN,
    condition,
    degraded,
    document,
    slo,
    version,
    waiting_for_approval,
)
from tests.support.portfolio.served import served, store_of
from tests.support.processes.browser import browser

if TYPE_CHECKING:
    from aiohttp.test_utils import TestClient

PICTURES = Path(__file__).resolve().parents[3] / "docs/pictures"
SHOWN = {
    "portfolio": "/",
    "product": "/products/market-pricing/price",
    "markets": "/markets?team=catalog",
    "graph": "/graph?of=market-pricing/price",
}
"""Addresses by the name of their picture."""
DROP = "Accuracy is at 84.2 % (n=1,200) against an objective of 88.0 %"
DECAY = "no cause outside the model was found: it no longer fits its data"
CLEAR = (
    ("UpstreamDegraded", "no product it calls is degraded"),
    ("CommonCause", "1 of 8 products of this namespace and products of 1 of 6 other namespaces turned bad within three blocks, 0 % no longer have outcomes"),
    ("PodsUnhealthy", "all pods are ready"),
    ("RecentRelease", "v14 has been stable for 12 d, a release counts as recent for 24 h"),
)  # fmt: skip
"""What the checks before the last found."""
PAGE = "page"
"""The key in a picture's file: the hash of the page that it shows."""
WINDOW = {"width": 1280, "height": 400}
TALLEST = 1300


def portfolio() -> list[dict[str, Any]]:
    """The 47 products of `make portfolio`: one decayed, one that calls it, one waits for approval."""
    states = {
        "price": degraded(
            "ModelDecay", DROP, diagnosis=diagnosis(*CLEAR, cause="ModelDecay", message=DECAY)
        ),
        "search-ranking": degraded(
            "UpstreamDegraded", DROP,
            diagnosis=diagnosis(
                ("UpstreamDegraded", "degraded upstream: price"), cause="UpstreamDegraded",
                message="degraded upstream: price", verdict="Objects",
            ),
        ),
        "lead-score": waiting_for_approval(),
    }  # fmt: skip
    return [
        document(
            one["metadata"]["name"], one["metadata"]["namespace"], spec=one["spec"],
            status=healthy(one) | states.get(one["metadata"]["name"], {}),
        )
        for one in documents()
    ]  # fmt: skip


def diagnosis(*found: tuple[str, str], cause: str, message: str, verdict: str = "Clear") -> Any:
    evidence = [{"check": one, "verdict": verdict, "message": text} for one, text in found]
    return {"cause": cause, "message": message, "diagnosisTime": WHEN, "evidence": evidence}


def healthy(one: dict[str, Any]) -> dict[str, Any]:
    markets = [
        {"market": each, "state": "Met", "ratio": "0.913", "total": 2310}
        for each in one["spec"]["markets"][:3]
    ]
    slos = [
        slo(each["name"], objective=each["objective"], ratio="0.9996", total=41200, bad=16,
            budgetRemaining="0.94", markets=markets)
        for each in one["spec"]["slos"]
    ]  # fmt: skip
    return {
        "stable": version(promotionTime="2026-11-16T09:00:00Z"),
        "slos": slos,
        "conditions": [condition("Ready", "True", "Serving", "v14 serves")],
    }


def ledgers() -> list[dict[str, Any]]:
    """Five months of the product whose model decays, as they were sealed."""
    sealed = []
    for number in range(7, 12):
        review = document_of(sealed_month(number, wrong=0.08 + 0.016 * (number - 7)))
        review["metadata"] |= {"name": f"price-2026-{number:02}", "namespace": "market-pricing"}
        review["spec"]["productRef"] = {"name": "price", "uid": "market-pricing-price"}
        review["status"]["versions"][0]["version"] = f"v{number + 3}"
        sealed.append(review)
    return sealed


async def page_of(client: TestClient, path: str) -> str:
    """The hash of all that a page is made of."""
    digest = hashlib.sha256()
    for each in (path, "/static/style.css", "/static/page.js"):
        answer = await client.get(each)
        assert answer.status == 200, each
        digest.update(await answer.read())
    return digest.hexdigest()


@pytest.mark.parametrize("name", SHOWN)
async def test_each_documented_screenshot_matches_the_current_page(
    name: str, request: pytest.FixtureRequest
):
    """Fonts differ from machine to machine, so the page's text is compared, not its pixels."""
    path, file = SHOWN[name], PICTURES / f"{name}.png"
    async with served(store_of(portfolio(), ledgers())) as client:
        page = await page_of(client, path)
        if request.config.getoption("--update-golden"):
            await take(str(client.make_url(path)), page, file)

    with Image.open(file) as picture:
        assert picture.info[PAGE] == page, "take it anew by --update-golden, and look at it"


async def take(address: str, page: str, file: Path) -> None:
    async with async_playwright() as driver:
        chromium = await driver.chromium.launch(executable_path=browser(), args=["--no-sandbox"])
        tab = await chromium.new_page(viewport=WINDOW)
        await tab.goto(address)
        height = await tab.evaluate("document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": WINDOW["width"], "height": min(height, TALLEST)}
        data = await tab.screenshot(full_page=True, clip=clip)
        await chromium.close()
    named = PngImagePlugin.PngInfo()
    named.add_text(PAGE, page)
    with Image.open(io.BytesIO(data)) as shot:
        shot.convert("RGB").quantize(64).save(file, pnginfo=named, optimize=True)


def test_each_screenshot_is_used_on_a_documentation_page():
    shown = "".join(page.read_text(encoding="utf-8") for page in PICTURES.parent.glob("*.md"))

    assert {f"{name}.png" for name in SHOWN} == {path.name for path in PICTURES.iterdir()}
    assert not [name for name in SHOWN if f"](pictures/{name}.png)" not in shown]
