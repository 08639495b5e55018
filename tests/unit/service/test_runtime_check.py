"""The init container's check: what is installed against what the bento asks for."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from typing import TYPE_CHECKING

import pytest

from sluicegate_service.api_summary import MOST_BYTES
from sluicegate_service.keys import KeyFileError
from sluicegate_service.runtime_check import left_behind, main
from sluicegate_service.termination import MAX_BYTES
from tests.support.samples.bentos import write_bento, write_wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def message(tmp_path: Path, monkeypatch) -> Path:
    """Return the path of the container's termination message."""
    path = tmp_path / "message"
    monkeypatch.setenv("SLUICEGATE_TERMINATION_LOG", str(path))
    return path


def test_the_runtime_check_message_has_the_way_out(tmp_path: Path, message: Path, capsys):
    folder = write_bento(tmp_path / "b", requirements="lightgbm==4.0\n", python="3.7")

    assert main([str(folder)]) == 1
    said = message.read_text()
    assert said.startswith("RuntimeMismatch: python: wanted 3.7, found 3.")
    assert "; lightgbm: wanted ==4.0, found nothing. Build the bento with" in said
    assert "(sluicegate runtime-image)" in said
    assert capsys.readouterr().err.strip() == said


@pytest.mark.parametrize("desired", ["Pricer", "Estimates", "pricing"])
def test_a_wrong_entry_service_is_reported_with_both_names_and_the_field(
    desired: str, tmp_path: Path, message: Path, monkeypatch
):
    folder = write_bento(tmp_path / "b", python=None, beside=("Estimates",))
    monkeypatch.setenv("SLUICEGATE_ENTRY_SERVICE", desired)

    assert main([str(folder)]) == 1
    assert message.read_text() == (
        f"ServiceNotFound: spec.model.bento.service is {desired}, and the bento's entry service is"
        " Pricing (beside it there are Estimates): set spec.model.bento.service to Pricing"
    )


@pytest.mark.parametrize("desired", ["Pricing", "", None])
def test_the_runtime_check_accepts_the_right_entry_service_or_none(
    desired: str | None, tmp_path: Path, monkeypatch
):
    folder = write_bento(tmp_path / "b", python=None)
    if desired is not None:
        monkeypatch.setenv("SLUICEGATE_ENTRY_SERVICE", desired)

    assert main([str(folder)]) == 0


def test_the_runtime_check_of_a_matching_bento_has_no_message(tmp_path: Path, message: Path):
    folder = write_bento(tmp_path / "b", requirements="packaging\n", python=None)

    assert main([str(folder)]) == 0
    assert not message.exists()


def test_the_runtime_check_of_a_matching_bento_writes_its_api_summary(
    tmp_path: Path, message: Path, capsys
):
    folder = write_bento(tmp_path / "b", requirements="packaging\n", python=None)
    (folder / "apis").mkdir()
    text = "paths: {/predict: {post: {responses: {200: {}}}}, /livez: {get: {}}}"
    (folder / "apis" / "openapi.yaml").write_text(text)

    assert main([str(folder)]) == 0
    assert '"POST /predict"' in message.read_text()
    assert "livez" not in message.read_text()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("keys", "lacks"),
    [
        ({}, "has no key hmac"),
        ({"hmac": 32}, "has no key bearer"),
        ({"hmac": 32, "bearer": 5}, "has 5 bytes in its key bearer"),
        ({"hmac": 32, "bearer": 32}, None),
    ],
    ids=["no Secret", "without bearer", "too short", "whole"],
)
def test_an_incomplete_feedback_secret_is_reported_and_does_not_stop_serving(
    keys: dict[str, int], lacks: str | None, tmp_path: Path, message: Path, monkeypatch
):
    folder = write_bento(tmp_path / "b", requirements="packaging\n", python=None)
    (folder / "apis").mkdir()
    (folder / "apis" / "openapi.yaml").write_text("paths: {/predict: {post: {}}}")
    mounted = tmp_path / "feedback"
    mounted.mkdir()
    for name, size in keys.items():
        (mounted / name).write_bytes(b"k" * size)
    monkeypatch.setenv("SLUICEGATE_FEEDBACK_DIRECTORY", str(mounted))

    assert main([str(folder)]) == 0
    left = message.read_text()
    assert json.loads(left).get("feedback") == lacks
    assert json.loads(left)["api"]["count"] == 1
    assert "k" * 5 not in left


def test_the_longest_api_summary_leaves_room_for_the_secret_problem():
    """A kubelet cuts a message at 4,096 bytes, and half a message is none."""
    longest = json.dumps({"api": "x" * (MOST_BYTES - 10)}, separators=(",", ":"))
    left = left_behind(longest, KeyFileError("", "has 12345 bytes in its key hmac-previous").lacks)
    assert len(longest) == MOST_BYTES
    assert len(left.encode()) <= MAX_BYTES


def test_the_runtime_check_writes_the_experiment_labels_with_the_api_summary(
    tmp_path: Path, message: Path
):
    labels = {
        "hypothesis": "margins raise conversion",
        "ticket": 7,
        "team": "x",
        "author": ["no text"],
        "deprecated-operations": "POST /predict",
    }
    folder = write_bento(tmp_path / "b", requirements="packaging\n", python=None, labels=labels)
    (folder / "apis").mkdir()
    (folder / "apis" / "openapi.yaml").write_text("paths: {/predict: {post: {}}}")

    assert main([str(folder)]) == 0
    left = json.loads(message.read_text())
    assert left["labels"] == {"hypothesis": "margins raise conversion", "ticket": "7"}
    assert left["api"]["count"] == 1
    assert left["api"]["deprecated"] == ["POST /predict"]


def test_the_longest_experiment_labels_leave_room_for_api_summary_and_secret_problem(
    tmp_path: Path, message: Path, monkeypatch
):
    """A kubelet cuts a message at 4,096 bytes, and half a message is none."""
    labels = dict.fromkeys(("hypothesis", "author", "ticket", "git-revision"), "ü\ud800" * 5000)
    folder = write_bento(tmp_path / "b", requirements="packaging\n", python=None, labels=labels)
    (folder / "apis").mkdir()
    paths = {f"/{number}": {"post": {"parameters": []}} for number in range(60)}
    (folder / "apis" / "openapi.yaml").write_text(json.dumps({"paths": paths}))
    (tmp_path / "feedback").mkdir()
    monkeypatch.setenv("SLUICEGATE_FEEDBACK_DIRECTORY", str(tmp_path / "feedback"))

    assert main([str(folder)]) == 0
    assert len(message.read_bytes()) < MAX_BYTES
    left = json.loads(message.read_text())
    assert left["api"]["count"] == 60
    assert set(left) == {"api", "labels", "feedback"}


@pytest.mark.usefixtures("message")
def test_another_patch_release_of_a_transitive_package_is_reported_and_accepted(
    tmp_path: Path, capsys
):
    patched = re.sub(r"^(\d+\.\d+).*", r"\1.9999", f"{version('packaging')}.0")
    folder = write_bento(tmp_path / "b", requirements=f"packaging=={patched}\n", python=None)
    (folder / "env/python/requirements.in").write_text("pytest\n")

    assert main([str(folder)]) == 0
    assert f"packaging: wanted =={patched}" in capsys.readouterr().err


def test_a_wheel_in_the_bento_satisfies_a_requirement_and_adds_its_own(
    tmp_path: Path, message: Path
):
    folder = write_bento(tmp_path / "b", requirements="tabular==1.0\n", python=None)
    write_wheel(folder / "env/python/wheels", "tabular", "1.0", requires="lacking-package>=2")

    assert main([str(folder)]) == 1
    said = message.read_text()
    assert said.startswith("RuntimeMismatch: lacking-package: wanted >=2, found nothing. Build")


def test_a_wheel_for_another_python_is_named(tmp_path: Path, message: Path):
    folder = write_bento(tmp_path / "b", python=None)
    write_wheel(folder / "src/wheels", "tabular", "1.0", tags="cp27-cp27m-win32")

    assert main([str(folder)]) == 1
    assert (
        "tabular: wanted a wheel for this Python (tabular-1.0-cp27-cp27m-win32.whl)"
        in message.read_text()
    )
