"""`sluicegate train --local`: the Job's variables, its result, and the gate over it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from sluicegate.__main__ import main
from tests.support.samples.bentos import write_bento
from tests.support.samples.product_files import a_product

if TYPE_CHECKING:
    from pathlib import Path

REPORT = {
    "image": "file:///x@sha256:" + "b" * 64,
    "version": "v2",
    "evaluation": {"accuracy": {"bad": 300, "total": 10_000}},
    "stableEvaluation": {"accuracy": {"bad": 900, "total": 10_000}},
}


def trained(folder: Path, code: str, *arguments: str, product: Path | None = None) -> int:
    """Run the command over a bento whose train.py is `code`."""
    bento = write_bento(folder / "b")
    (bento / "src/train.py").write_text(f"import os, json, pathlib, sys\n{code}\n")
    named = [str(product)] if product else []
    return main(["train", "--local", str(bento), *named, *arguments])


def reporting(**changes: object) -> str:
    text = json.dumps(REPORT | changes)
    return f"pathlib.Path(os.environ['SLUICEGATE_TERMINATION_LOG']).write_text({text!r})"


def test_train_shows_the_hold_out_counts_of_a_better_model(tmp_path: Path, capsys):
    assert trained(tmp_path, reporting(), product=a_product(tmp_path)) == 0

    said = capsys.readouterr().out
    assert "result: version v2" in said
    assert "97.0 % (n=10,000)  91.0 % (n=10,000)" in said
    assert said.endswith("gate: passed; the operator would start a canary\n")


@pytest.mark.parametrize(
    ("evaluation", "said"),
    [
        ({"accuracy": {"bad": 2000, "total": 10_000}}, "rejected (WorseOnHoldOut); accuracy is"),
        ({"accuracy": {"bad": 9, "total": 100}}, "rejected (HoldOutTooSmall); about "),
        ({}, "rejected (HoldOutTooSmall); there are no counts of any SLO for both"),
    ],
)
def test_train_exits_1_if_the_hold_out_gate_would_refuse_the_result(
    evaluation: dict[str, object], said: str, tmp_path: Path, capsys
):
    code = reporting(evaluation=evaluation)

    assert trained(tmp_path, code, product=a_product(tmp_path)) == 1
    assert f"gate: {said}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("sys.exit(3)", "the training exited with 3"),
        (
            "os.kill(os.getpid(), 9)",
            "the training was killed (SIGKILL), as the kernel does where memory is short",
        ),
        ("os.kill(os.getpid(), 15)", "the training was ended by the signal SIGTERM; see above"),
        ("pass", "its termination message is not a result (it is empty)"),
        (
            reporting(evaluation={"acc": {"bad": 1, "total": 2}}),
            "names acc, and spec.slos has accuracy",
        ),
        (reporting(evaluation={"accuracy": {"bad": 0, "total": 0}}), "accuracy.total"),
    ],
)
def test_train_reports_why_a_training_has_no_result(code: str, said: str, tmp_path: Path, capfd):
    assert trained(tmp_path, code, product=a_product(tmp_path)) == 1
    assert said in capfd.readouterr().err


def test_train_refuses_a_training_that_writes_into_the_bento_as_in_the_cluster(
    tmp_path: Path, capfd
):
    code = f"open('model.txt', 'w').close(); {reporting()}"
    assert trained(tmp_path, code, product=a_product(tmp_path)) == 1
    said = capfd.readouterr().err
    assert "wrote model.txt into the bento's src, which is read-only in the cluster" in said
    assert "write to a temporary folder" in said


def test_train_passes_only_the_variables_of_the_job(tmp_path: Path, capfd, monkeypatch):
    monkeypatch.setenv("SLUICEGATE_WORKERS", "8")
    names = "sorted(key for key in os.environ if key.startswith('SLUICEGATE_'))"
    trigger = "json.loads(os.environ['SLUICEGATE_TRIGGER'])['indicator']"
    code = f"print({names}, {trigger}, os.environ['YEAR']); {reporting()}"
    product = a_product(tmp_path, retraining__env=[{"name": "YEAR", "value": "2026"}])

    assert trained(tmp_path, code, "--slo", "accuracy", product=product) == 0
    variables, _, values = capfd.readouterr().out.splitlines()[0].partition("] ")
    assert values == "outcomes 2026"
    assert variables.count("SLUICEGATE_") == 8
    assert "WORKERS" not in variables


def test_train_passes_only_named_shell_variables_and_those_of_the_spec(
    tmp_path: Path, capfd, monkeypatch
):
    for name in ("PYTHONPATH", "SECRET_OF_THE_SHELL", "DATABASE", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    names = "('PYTHONPATH', 'SECRET_OF_THE_SHELL', 'DATABASE', 'OMP_NUM_THREADS')"
    code = f"print([key for key in {names} if key in os.environ]); {reporting()}"
    reference = {"secretKeyRef": {"name": "pricing", "key": "database"}}
    env = [{"name": "DATABASE", "valueFrom": reference}]
    product = a_product(tmp_path, retraining__env=env)

    assert trained(tmp_path, code, "--pass-env", "OMP_NUM_THREADS", product=product) == 0
    assert capfd.readouterr().out.splitlines()[0] == "['DATABASE', 'OMP_NUM_THREADS']"


def test_train_keeps_the_bytecode_of_packages_for_the_next_run_and_adds_none_to_the_bento(
    tmp_path: Path, monkeypatch
):
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "installed.py").touch()
    monkeypatch.setenv("PYTHONPATH", str(packages))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")

    assert trained(tmp_path, f"import installed; {reporting()}", "--pass-env", "PYTHONPATH") == 0
    compiled = [path.parent.parent for path in tmp_path.rglob("*.pyc")]
    assert compiled == [packages]


def test_train_adds_no_bytecode_to_a_folder_of_the_bento_that_has_some(tmp_path: Path):
    present_folder = tmp_path / "b/src/__pycache__"
    present_folder.mkdir(parents=True)
    (present_folder / "old.pyc").touch()

    assert trained(tmp_path, f"open('__pycache__/new.pyc', 'w').close(); {reporting()}") == 0
    assert [path.name for path in tmp_path.rglob("*.pyc")] == ["old.pyc"]


def test_train_with_an_unknown_slo_exits_with_2(tmp_path: Path, capsys):
    assert trained(tmp_path, "pass", "--slo", "speed", product=a_product(tmp_path)) == 2
    assert "--slo: is speed, and spec.slos has accuracy" in capsys.readouterr().err
