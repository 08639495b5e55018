"""What the project gives people to start with passes a real admission."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cluster.kinds import install_crds
from sluicegate.__main__ import main
from sluicegate.cli.models.init import TEMPLATES

if TYPE_CHECKING:
    from cluster.controlplane import ControlPlane

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_product_of_each_init_template_is_admitted_unchanged(
    template: str, control_plane: ControlPlane, namespace: str, tmp_path: Path
):
    install_crds(control_plane)
    where = ["--template", template, "--directory", str(tmp_path), "--namespace", namespace]
    assert main(["init", "iris", *where]) == 0

    said = control_plane.kubectl(
        "apply", "--server-side", "--dry-run=server", "-f", str(tmp_path / "product.yaml")
    )

    assert "dataproduct.sluicegate.dev/iris serverside-applied" in said
