"""The site builds with strict links, and alerts lead to its sections."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from docs.site import pages
from docs.site.build import CONFIGURATION, main
from docs.site.reference import PAGES
from sluicegate.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site") / "site"
    assert main([str(folder)]) == 0, "a link or an anchor is broken: see above"
    return folder


@pytest.mark.slow
def test_each_alert_links_to_a_runbook_section(site: Path):
    rules = yaml.safe_load((ROOT / "charts/sluicegate/files/alerts.yaml").read_text())
    linked = {
        rule["annotations"]["runbook_url"].partition("#")[2]
        for group in rules["groups"]
        for rule in group["rules"]
    }
    shown = set(re.findall(r'id="([^"]+)"', (site / "operations/index.html").read_text()))
    assert linked
    assert linked <= shown


@pytest.mark.slow
def test_reference_pages_are_generated_from_their_sources(site: Path):
    product = (site / "reference/dataproduct/index.html").read_text()
    assert "rollout.steps" in product
    assert "steps must increase from one to the next" in product
    said = (site / "reference/commands/index.html").read_text()
    assert all(f'id="{name}"' in said for name in COMMANDS)
    assert "sluicegate.dev/promote" in (site / "reference/annotations/index.html").read_text()
    assert "sluicegate_products" in (site / "reference/metrics/index.html").read_text()
    assert "SLUICEGATE_TERMINATION_LOG" in (site / "reference/contract/index.html").read_text()


@pytest.mark.slow
def test_no_documentation_page_loads_external_resources(site: Path):
    loaded = {
        address
        for path in site.rglob("*.html")
        for address in re.findall(
            r'<(?:script|img|link)[^>]* (?:src|href)="(https?://[^"]+)"', path.read_text()
        )
        if not address.startswith("https://sluicegate.dev/")
    }
    assert loaded == set()


@pytest.mark.slow
def test_pictures_of_the_pages_are_part_of_the_site(site: Path):
    named = re.findall(r'<img[^>]* src="([^"]+\.png)"', (site / "web/index.html").read_text())
    assert named
    assert [one for one in named if not (site / "web" / one).is_file()] == []


def test_each_documentation_page_is_in_the_navigation():
    """The generator is silent about a page without a link."""
    navigation = set(re.findall(r'"([\w/.-]+\.md)"', CONFIGURATION.read_text(encoding="utf-8")))
    assert navigation == {*pages.pages().values(), *PAGES}


def test_a_broken_link_is_reported(monkeypatch, tmp_path: Path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/a.md").write_text("[there](gone.md) [here](a.md#x) [code](b.py)")
    (tmp_path / "docs/b.py").touch()
    monkeypatch.setattr(pages, "ROOT", tmp_path)

    with pytest.raises(pages.BrokenLink, match=r"docs/a.md: gone.md leads nowhere"):
        pages.page("docs/a.md", {"docs/a.md": "a.md"}, "")
    (tmp_path / "docs/gone.md").touch()
    text = pages.page("docs/a.md", {"docs/a.md": "x/a.md", "docs/gone.md": "gone.md"}, "https://s")
    assert text == "[there](../gone.md) [here](a.md#x) [code](https://s/docs/b.py)"
