"""A bento's requirements against a set of packages: each difference by name, and what it means."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sluicegate_service.bentos import BentoInvalid, read_bento
from sluicegate_service.constraints import FILE, PYTHONS, markers, packages_of
from sluicegate_service.requirements import (
    Mismatch,
    Requirements,
    compare,
    extras_of,
    parse_requirements,
    requirements_in,
)
from tests.support.samples.bentos import write_bento

ROOT = Path(__file__).resolve().parents[3]
INSTALLED = {"scikit-learn": "1.9.1", "bentoml": "1.4.40", "numpy": "2.4.6"}
LOCKED = """\
# made by uv
--index-url https://example.org/simple
bentoml==1.4.40 \\
    --hash=sha256:aaaa \\
    --hash=sha256:bbbb
scikit_learn==1.9.1    # the framework
numpy>=2 ; python_version >= "3.8"
colorama==9 ; sys_platform == "win32"
"""


def compared(text: str) -> list[Mismatch]:
    return compare(Requirements(tuple(parse_requirements(text))), INSTALLED.get)


def test_a_lock_file_that_fits_has_no_mismatch():
    assert compared(LOCKED) == []


@pytest.mark.parametrize(
    ("line", "desired"),
    [
        ("scikit-learn==1.0.2", Mismatch("scikit-learn", "==1.0.2", "1.9.1")),
        ("lightgbm==4.0", Mismatch("lightgbm", "==4.0", None)),
        ("lightgbm", Mismatch("lightgbm", "any version", None)),
        ("Scikit_Learn<1.9", Mismatch("scikit-learn", "<1.9", "1.9.1")),
    ],
)
def test_a_requirement_mismatch_names_the_package_and_both_versions(line: str, desired: Mismatch):
    assert compared(LOCKED + line) == [desired]


def test_all_requirement_mismatches_are_listed_in_order():
    names = [mismatch.name for mismatch in compared("zlib-ng==1\nnumpy<2\nabc==1")]

    assert names == ["abc", "numpy", "zlib-ng"]


def test_a_malformed_requirement_line_is_refused():
    with pytest.raises(BentoInvalid, match="'nu mpy==' is no requirement"):
        parse_requirements("nu mpy==")


@pytest.mark.parametrize(
    ("locked", "tolerable"),
    [
        ("numpy==2.4.9", True),
        ("numpy==2.5.0", False),
        ("numpy==3.0", False),
        ("lightgbm==4.0", False),
        ("scikit-learn==1.9.2", False),
        ("bentoml==1.4.41", True),
        ("bentoml==1.5.0", False),
    ],
)
def test_only_another_patch_release_of_a_transitive_package_is_accepted(
    locked: str, *, tolerable: bool
):
    desired = Requirements(
        tuple(parse_requirements("scikit-learn\nbentoml==1.4.40")),
        tuple(parse_requirements(locked)),
    )

    (found,) = compare(desired, INSTALLED.get)

    assert found.tolerable is tolerable


def test_requirements_of_a_bento_are_split_into_direct_and_locked_ones(tmp_path: Path):
    bento = read_bento(write_bento(tmp_path / "one", requirements="numpy==2.4.6\nscipy==1.0\n"))
    (bento.requirements.parent / "requirements.in").write_text("numpy\n")
    other = read_bento(
        write_bento(tmp_path / "two", requirements="numpy\n./wheels/x-1-py3-none-any.whl\n")
    )
    (other.requirements.parent / "requirements.lock.txt").write_text("numpy==2.4.6\n")

    one, two = requirements_in(bento), requirements_in(other)

    assert [one.name for one in one.direct] == [one.name for one in two.direct] == ["numpy"]
    assert [str(one) for one in one.locked] == ["numpy==2.4.6", "scipy==1.0"]
    assert [str(one) for one in two.locked] == ["numpy==2.4.6"]


def test_requirements_of_an_extra_are_checked():
    lines = {"bentoml": ["attrs", "grpcio>=1.5 ; extra == 'grpc'", "docker ; extra == 'docker'"]}

    found = extras_of(parse_requirements("bentoml[grpc]\nnumpy"), lines.get)

    assert [one.name for one in found] == ["grpcio"]


def test_requirement_markers_are_evaluated_for_the_runtime_platform():
    assert (
        parse_requirements("a ; sys_platform == 'win32'\nb ; python_version < '3.11'", markers())
        == []
    )


def test_the_runtime_constraints_equal_the_lock_file():
    exported = subprocess.run(
        [
            str(Path(sys.executable).with_name("uv")), "export", "--frozen", "--quiet",
            "--only-group=serving", "--no-hashes", "--no-annotate", "--no-header",
            "--no-emit-workspace",
        ],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip

    assert exported in FILE.read_text(), "run `make constraints`"
    assert packages_of(FILE.read_text())["bentoml"]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_runtime_constraints_have_one_wheel_of_each_package_for_each_python(python: str):
    tags = {f"cp{python.replace('.', '')}", *(f"cp3{minor}" for minor in range(2, 12)), "py3"}
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    wheels = {
        (package["name"], package["version"]): [wheel["url"] for wheel in package.get("wheels", ())]
        for package in lock["package"]
        if "registry" in package["source"]
    }
    packages = packages_of(FILE.read_text(), python)

    assert set(packages) == set(packages_of(FILE.read_text()))
    for name, version in packages.items():
        if (name, version) in wheels:
            found = {
                tag
                for url in wheels[name, version]
                for tag in url.rsplit("-", 3)[1].split(".")
                if "abi3" in url or "none" in url or tag == f"cp{python.replace('.', '')}"
            }
            assert found & tags, f"{name} {version} on Python {python}"


def test_the_runtime_constraints_differ_by_python_where_the_lock_does():
    numpy = [packages_of(FILE.read_text(), python)["numpy"] for python in PYTHONS]

    assert numpy[0] < numpy[1] == numpy[2]
