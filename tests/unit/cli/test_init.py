"""`sluicegate init`: a product that is whole, from a template."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from sluicegate.__main__ import main
from sluicegate.cli.models.init import TEMPLATES

SERVICES = Path(__file__).resolve().parents[3] / "bentos"


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_files_of_a_template_name_the_product_and_pass_the_check(
    template: str, tmp_path: Path, capsys
):
    folder = tmp_path / "used-cars"

    assert main(["init", "used-cars", "--template", template, "--directory", str(folder)]) == 0
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    assert not [name for name, text in texts.items() if "{{" in text]
    assert "class UsedCars" in texts["service.py"]
    assert main(["check", str(folder)]) == 0
    assert "error" not in capsys.readouterr().out


def test_init_overwrites_no_file(tmp_path: Path, capsys):
    (tmp_path / "train.py").write_text("mine")

    assert main(["init", "iris", "--directory", str(tmp_path)]) == 2
    assert "train.py: exists already" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.py"]


@pytest.mark.parametrize("name", ["Iris", "7up", "a_b", "x" * 41, "a-"])
def test_init_refuses_an_invalid_product_name(name: str, tmp_path: Path, capsys):
    assert main(["init", name, "--directory", str(tmp_path / "x")]) == 2
    assert f'is "{name}": a product\'s name has at most' in capsys.readouterr().err


def code_lines(text: str) -> int:
    """Lines that aren't blank, comments or docstrings of one line."""
    lines = map(str.strip, text.splitlines())
    return sum(bool(line) and not line.startswith(("#", '"""')) for line in lines)


def test_the_outcomes_template_adds_few_lines_to_a_service(tmp_path: Path):
    counts = {}
    for template in TEMPLATES:
        folder = tmp_path / template
        main(["init", "iris", "--template", template, "--directory", str(folder)])
        counts[template] = {
            name: code_lines((folder / name).read_text())
            for name in ("service.py", "train.py", "bentofile.yaml")
        }
    plain, outcomes = counts["plain"], counts["outcomes"]

    assert outcomes["service.py"] - plain["service.py"] <= 7
    assert outcomes["train.py"] - plain["train.py"] <= 18
    assert outcomes["bentofile.yaml"] - plain["bentofile.yaml"] <= 1


def product_of(folder: Path, *options: str) -> dict[str, Any]:
    """The product that a template writes."""
    assert main(["init", "iris", "--directory", str(folder), *options]) == 0
    return yaml.safe_load((folder / "product.yaml").read_text())["spec"]


def test_trainings_push_to_the_registry_as_pods_reach_it(tmp_path: Path):
    registries = ["--registry", "localhost:5000/b", "--training-registry", "registry.in.pods/b/"]
    spec = product_of(tmp_path / "two", "--template", "outcomes", *registries)
    assert spec["model"]["bento"]["image"].startswith("localhost:5000/b/iris@")
    assert spec["retraining"]["output"] == "registry.in.pods/b/iris"
    spec = product_of(tmp_path / "one", "--template", "outcomes", *registries[:2])
    assert spec["retraining"]["output"] == "localhost:5000/b/iris"


def test_pods_log_predictions_where_a_volume_for_them_is_named(tmp_path: Path):
    log = product_of(tmp_path / "log", "--template", "outcomes", "--log-claim", "rows")["serving"][
        "log"
    ]
    assert log["to"] == {"file": {"claimName": "rows"}}
    assert "log" not in product_of(tmp_path / "none", "--template", "outcomes")["serving"]


def test_a_log_needs_a_template_that_accepts_labels(tmp_path: Path, capsys):
    assert main(["init", "iris", "--directory", str(tmp_path), "--log-claim", "rows"]) == 2
    assert "add --template outcomes" in capsys.readouterr().err
