"""Wheels that lie in a bento are imported before anything else."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

from sluicegate_service.bentos import BentoInvalid
from sluicegate_service.findings import runtime_tags
from sluicegate_service.wheels import BundledWheel, wheels_of
from tests.support.samples.bentos import write_bento, write_wheel

if TYPE_CHECKING:
    from pathlib import Path


def run_in(bento: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a training Job's command, `python -m sluicegate_service.wheels …`, in the bento's src."""
    return subprocess.run(
        [sys.executable, "-m", "sluicegate_service.wheels", *arguments],
        cwd=bento / "src",
        env={**os.environ, "SLUICEGATE_BENTO": str(bento), "TMPDIR": str(bento.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_training_and_its_child_processes_import_wheels_of_the_bento(tmp_path: Path):
    bento = write_bento(tmp_path / "b")
    write_wheel(bento / "env/python/wheels", "tabular", "1.0")
    (bento / "src/train.py").write_text(
        "import subprocess, sys, tabular\n"
        "print(sys.argv[1:], tabular.VERSION, flush=True)\n"
        "subprocess.run([sys.executable, '-c', 'import tabular; print(tabular.VERSION)'])\n"
    )

    done = run_in(bento, "train", "one")

    assert done.stdout.splitlines() == ["['one'] 1.0", "1.0"], done.stderr


def test_a_wheel_for_another_platform_is_skipped(tmp_path: Path):
    bento = write_bento(tmp_path / "b")
    write_wheel(bento / "src/wheels", "tabular", "1.0", tags="cp311-cp311-win32")
    (bento / "src/train.py").write_text("import tabular\n")

    assert "No module named 'tabular'" in run_in(bento, "train").stderr


def test_a_wheel_with_files_outside_its_folder_is_refused(tmp_path: Path):
    path = write_wheel(tmp_path, "tabular", "1.0")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("../evil.py", "")

    with pytest.raises(BentoInvalid, match=r"holds '../evil.py': refused"):
        BundledWheel(path).unpack(tmp_path / "into")
    assert not (tmp_path / "evil.py").exists()


def test_a_file_with_an_invalid_wheel_name_is_named(tmp_path: Path):
    bento = write_bento(tmp_path / "b")
    (bento / "src/wheels").mkdir()
    (bento / "src/wheels/tabular.whl").touch()

    with pytest.raises(BentoInvalid, match=r"tabular.whl is no wheel's name"):
        wheels_of(bento)


@pytest.mark.parametrize(
    ("tags", "fits"),
    [
        ("py3-none-any", True),
        ("cp311-cp311-manylinux_2_28_x86_64", True),
        ("cp311-cp311-manylinux2014_x86_64", True),
        ("cp39-abi3-manylinux_2_17_x86_64", True),
        ("cp311-cp311-manylinux_2_39_x86_64", False),
        ("cp312-cp312-manylinux_2_28_x86_64", False),
        ("cp311-cp311-macosx_11_0_arm64", False),
    ],
)
def test_the_runtime_imports_wheels_for_its_python_and_its_glibc(
    tags: str, tmp_path: Path, *, fits: bool
):
    assert (
        BundledWheel(write_wheel(tmp_path, "tabular", "1.0", tags=tags)).fits(runtime_tags())
        is fits
    )
