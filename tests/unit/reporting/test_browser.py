"""The report in a real browser: everybody can read it, on each screen, and on paper."""

from __future__ import annotations

import pytest
import yaml

from sluicegate.__main__ import main
from tests.support.decisions.reviewed import document_of, sealed_month
from tests.support.processes.browser import examined, printed_pages

pytestmark = [pytest.mark.heavy, pytest.mark.slow, pytest.mark.timeout(300)]
ACTION = {"title": "Check the labels", "owner": "acb", "dueDate": "2026-11-20"}


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report of one product, and one of several."""
    folder = tmp_path_factory.mktemp("pages")
    items = [
        document_of(sealed_month(10, wrong=0.08), actions=[ACTION]),
        document_of(sealed_month(11, wrong=0.12, austria=0.4), notes="a dip on the 3rd"),
        document_of(sealed_month(11, wrong=0.1, namespace="catalog")),
    ]
    (folder / "reviews.yaml").write_text(
        yaml.dump({"kind": "List", "items": items}, Dumper=yaml.CSafeDumper)
    )
    arguments = ["--period", "2026-11", "-o", "html", "--from", str(folder / "reviews.yaml")]
    made = {"one": "pricing/pricing", "all": "--all"}
    for name, what in made.items():
        assert main(["report", what, *arguments, "--file", str(folder / f"{name}.html")]) == 0
    return {name: folder / f"{name}.html" for name in made}


@pytest.mark.parametrize("width", [1440, 500])
@pytest.mark.parametrize("name", ["one", "all"])
def test_a_report_page_is_accessible_and_no_wider_than_the_window(pages, tmp_path, name, width):
    found = examined(pages[name], tmp_path, width=width)
    assert "color-contrast" in found["passes"], "axe has looked at it"
    assert found["violations"] == []
    assert found["wide"] <= found["window"]
    assert found["sideways"] == [], "to be read by scrolling"


def test_the_report_of_a_product_prints_on_at_most_three_pages(pages, tmp_path):
    assert 1 <= printed_pages(pages["one"], tmp_path) <= 3
