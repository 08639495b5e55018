"""docs/api-versions.md says which versions the API has, and that no webhook converts them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.api import names
from sluicegate.api.crd import DEFINITIONS, build_crd

PAGE = Path(__file__).parents[3] / "docs/api-versions.md"


@pytest.mark.parametrize("kind", DEFINITIONS, ids=lambda kind: kind.kind)
def test_the_page_names_the_versions_that_the_api_server_has(kind):
    versions = build_crd(kind)["spec"]["versions"]
    assert [version["name"] for version in versions if version["storage"]] == [names.VERSION]
    assert [version["name"] for version in versions] == ["v1alpha1"]
    assert "has one version, `v1alpha1`, which is served and stored" in PAGE.read_text()


@pytest.mark.parametrize("kind", DEFINITIONS, ids=lambda kind: kind.kind)
def test_all_versions_have_one_schema_because_nothing_converts_them(kind):
    spec = build_crd(kind)["spec"]
    first = spec["versions"][0]["schema"]
    assert all(version["schema"] == first for version in spec["versions"])
    assert "conversion" not in spec
