"""What a suite judges is its tests, all that they import, and the files that it names: no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.runs.verified import ROOT, SUITES, Suite, content, judged

SUITE = Suite("demo", ("tests/demo",), ("data.json",), ("numpy",))
FILES = {
    "uv.lock": '[[package]]\nname = "numpy"\nversion = "2.0"\n',
    "data.json": "{}",
    "tests/conftest.py": "from tests.support import shared",
    "tests/support/shared.py": "",
    "tests/demo/test_demo.py": "def test_it():\n    from sluicegate.policy.slo_health.data_quality import gate\n",
    "operator/sluicegate/__init__.py": "",
    "operator/sluicegate/policy/__init__.py": "",
    "operator/sluicegate/policy/slo_health/data_quality.py": "import json\nfrom sluicegate import slo\n",
    "operator/sluicegate/slo.py": "",
    "operator/sluicegate/kube.py": "from sluicegate import slo\n",
    "README.md": "",
}


@pytest.fixture
def checkout(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    "changed", sorted(FILES.keys() - {"operator/sluicegate/kube.py", "README.md"})
)
def test_a_changed_input_of_a_suite_changes_its_hash(checkout, changed):
    before = content(SUITE, checkout)
    (checkout / changed).write_text(FILES[changed].replace("2.0", "2.1") + "\nchanged = 1\n")
    assert content(SUITE, checkout) != before


LOCK = """
[[package]]
name = "sluicegate"
version = "0.1.0"
[package.dev-dependencies]
serving = [{ name = "bentoml", extra = ["io"] }]
tests = [{ name = "pytest" }]
"""
LOCKED = {
    "bentoml": """dependencies = [{ name = "attrs" }]
[package.optional-dependencies]
io = [{ name = "pillow" }]
more = [{ name = "torch" }]""",
    "attrs": 'dependencies = [{ name = "bentoml" }]',
    **dict.fromkeys(("pillow", "torch", "pytest"), ""),
}  # fmt: skip


@pytest.mark.parametrize(
    ("package", "counts"),
    [("bentoml", True), ("attrs", True), ("pillow", True), ("torch", False), ("pytest", False)],
)
def test_the_hash_of_a_suite_covers_all_packages_of_its_groups_and_no_others(
    checkout, package, counts
):
    suite = Suite("demo", ("tests/demo",), groups=("serving",))

    def hashed(**versions):
        rows = (
            f'[[package]]\nname = "{name}"\nversion = "{versions.get(name, "1")}"\n{more}\n'
            for name, more in LOCKED.items()
        )
        (checkout / "uv.lock").write_text(LOCK + "".join(rows))
        return content(suite, checkout)

    assert (hashed() != hashed(**{package: "2"})) is counts


@pytest.mark.parametrize("changed", ["operator/sluicegate/kube.py", "README.md"])
def test_a_change_of_an_unrelated_file_keeps_the_hash_of_a_suite(checkout, changed):
    before = content(SUITE, checkout)
    (checkout / changed).write_text(FILES[changed] + "# changed\n")
    (checkout / "tests/demo/__pycache__").mkdir()
    (checkout / "tests/demo/__pycache__/test_demo.pyc").write_bytes(b"made by a run")
    assert content(SUITE, checkout) == before


def test_the_hash_of_a_suite_ignores_comments_and_docstrings(checkout):
    before = content(SUITE, checkout)
    module = checkout / "operator/sluicegate/policy/slo_health/data_quality.py"
    told = '"""What it says."""\n\n# And why.\n'
    types = "if TYPE_CHECKING:\n    from sluicegate import kube\n"
    module.write_text(f"{told}import json\nfrom sluicegate import slo\n")
    assert content(SUITE, checkout) == before
    module.write_text(f"{told}{types}import json\nfrom sluicegate import slo\n")
    assert checkout / "operator/sluicegate/kube.py" not in judged(SUITE, checkout)
    module.write_text('text = """\n# one\n"""\n')
    before = content(SUITE, checkout)
    module.write_text('text = """\n# other\n"""\n')
    assert content(SUITE, checkout) != before


def test_an_added_or_renamed_file_changes_the_hash_of_a_suite(checkout):
    before = content(SUITE, checkout)
    (checkout / "tests/demo/test_more.py").write_text("")
    more = content(SUITE, checkout)
    (checkout / "tests/demo/test_more.py").rename(checkout / "tests/demo/test_other.py")
    assert len({before, more, content(SUITE, checkout)}) == 3


def test_a_suite_with_an_absent_file_is_an_error(checkout):
    (checkout / "data.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"data\.json"):
        content(SUITE, checkout)


def test_the_degradation_suite_covers_evaluate_and_the_canary_suite_does_not():
    """They play NumPy's own canary, and take from the policy how long it waits for labels."""
    files = {suite.name: {one.name for one in judged(suite)} for suite in SUITES[:2]}
    assert "evaluate.py" in files["degradation"] - files["canaries"]
    assert "vectorized_canary.py" in files["canaries"] - files["degradation"]
    assert "rollout_defaults.py" in files["canaries"]
    assert "comparison.md" not in files["canaries"]


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES, ids=[suite.name for suite in SUITES])
def test_all_files_named_by_the_suites_exist(suite):
    assert len(content(suite)) == 64


@pytest.mark.slow
def test_a_part_of_a_suite_is_never_recorded_as_the_whole():
    part = ROOT / "tests/simulation/test_compare_table.py"
    refused = subprocess.run(
        [sys.executable, "-m", "pytest", "--record-verified", str(part)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--record-verified needs whole suites" in refused.stderr
