"""What must hold for the repository itself."""

import operator
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_operator_folder_is_a_source_root_and_no_package():
    assert not (ROOT / "operator" / "__init__.py").exists(), (
        "operator/__init__.py would shadow the standard library's operator module"
    )


def test_the_operator_module_of_the_standard_library_is_importable_from_the_repository():
    found = subprocess.run(
        [sys.executable, "-c", "import operator; print(operator.__file__)"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    assert Path(found).parent == Path(sysconfig.get_path("stdlib"))
    assert operator.__file__ == found


def test_ci_runs_the_test_command_that_the_readme_gives():
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "make test" in (ROOT / "README.md").read_text()


@pytest.mark.parametrize("code", ["benchmarks", "cluster", "demo", "operator", "bentos"])
def test_only_tests_import_the_tests_package(code):
    importing = [
        str(path.relative_to(ROOT))
        for path in (ROOT / code).rglob("*.py")
        if re.search(r"^\s*(from|import) tests\b", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert not importing
