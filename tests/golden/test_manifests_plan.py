"""The children of two products, whole: a diff here is a change that every cluster will see."""

from __future__ import annotations

from pathlib import Path

import pytest

from sluicegate.__main__ import main
from sluicegate.api.crd import DEFINITIONS, render_crd

ROOT = Path(__file__).parents[2]
PRODUCTS = ROOT / "tests" / "data" / "products"
RUNTIME = "registry.example/sluicegate-runtime@sha256:" + "d" * 64


@pytest.fixture
def _settings(monkeypatch):
    monkeypatch.setenv("SLUICEGATE_DEFAULT_RUNTIME_IMAGE", RUNTIME)


@pytest.mark.usefixtures("_settings")
@pytest.mark.parametrize("product", ["search-ranking", "smallest"])
@pytest.mark.parametrize("output", ["yaml", "table"])
def test_the_objects_of_a_product_equal_their_golden(product, output, golden, capsys):
    file = str(PRODUCTS / f"{product}.yaml")
    assert main(["plan", file, "--output", output, "--training"]) == 0
    golden(f"manifests/{product}.{output}", capsys.readouterr().out)


def test_the_crd_in_the_repository_is_generated_from_the_types(capsys):
    for definition in DEFINITIONS:
        shipped = (ROOT / "crds" / definition.file_name).read_text(encoding="utf-8")
        assert shipped == render_crd(definition)
    assert main(["crds", "--check", "--directory", str(ROOT / "crds")]) == 0


@pytest.mark.slow
def test_a_crd_that_differs_from_its_file_is_reported_with_the_command_to_fix_it(tmp_path, capsys):
    assert main(["crds", "--check", "--directory", str(tmp_path)]) == 1
    assert "run `sluicegate crds`" in capsys.readouterr().err
    assert main(["crds", "--directory", str(tmp_path)]) == 0
    assert main(["crds", "--check", "--directory", str(tmp_path)]) == 0
