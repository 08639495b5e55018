"""The locked packages install where the project says that it runs, machines that no test has included."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest
from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags, mac_platforms
from packaging.utils import parse_wheel_filename

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK = Path(__file__).resolve().parents[2] / "uv.lock"
PYTHON = (3, 11)
GLIBC_MINOR = 36
"""Of Debian 12, the base of the images."""
PLATFORMS = {
    ("linux", "x86_64"): "Linux", ("linux", "aarch64"): "Linux",
    ("darwin", "arm64"): "Darwin", ("darwin", "x86_64"): "Darwin",
}  # fmt: skip
"""Systems and machines as Python names them, with the system as markers do."""
INTEL_MAC = ["cryptography"]
"""What `make setup` compiles there."""
LINUX = [platform for platform in PLATFORMS if platform[0] == "linux"]
EXTRAS = ("archive", "notify", "report", "simulate", "web")
"""What a person at a laptop may want of the commands."""
COMMANDS = [("sluicegate", extra) for extra in ("", *EXTRAS)]
OPERATOR = [*COMMANDS, ("sluicegate", "tracing"), ("sluicegate", "uvloop")]


@cache
def packages() -> dict[str, dict[str, Any]]:
    """The lock's packages by name; of several releases, the one for our Python."""
    ours = environment_of(("linux", "x86_64"))
    return {
        one["name"]: one
        for one in tomllib.loads(LOCK.read_text())["package"]
        if any(
            Marker(each).evaluate(ours)
            for each in one.get("resolution-markers", []) or ["os_name == 'posix'"]
        )
    }


def needed(roots: list[tuple[str, str]], environment: dict[str, str]) -> set[str]:
    """Names of all packages that the roots need: names with an extra, or with none."""
    open_, found = list(roots), set[tuple[str, str]]()
    while open_:
        one = open_.pop()
        if one in found:
            continue
        found.add(one)
        name, extra = one
        package = packages()[name]
        asked = package.get("dependencies", []) if not extra else [
            *package.get("optional-dependencies", {}).get(extra, []), {"name": name},
        ]  # fmt: skip
        open_ += _asked(asked, environment)
    return {name for name, _ in found}


def of_group(group: str, environment: dict[str, str]) -> list[tuple[str, str]]:
    return list(_asked(packages()["sluicegate"]["dev-dependencies"][group], environment))


def _asked(entries: list[dict[str, Any]], environment: dict[str, str]) -> Iterator[tuple[str, str]]:
    for each in entries:
        if "marker" not in each or Marker(each["marker"]).evaluate(environment):
            yield from ((each["name"], extra) for extra in ("", *each.get("extra", ())))


def environment_of(platform: tuple[str, str]) -> dict[str, str]:
    system, machine = platform
    version = ".".join(map(str, PYTHON))
    return {
        "sys_platform": system, "platform_system": PLATFORMS[platform], "platform_machine": machine,
        "os_name": "posix", "implementation_name": "cpython", "extra": "",
        "platform_python_implementation": "CPython", "python_version": version,
        "python_full_version": f"{version}.2",
    }  # fmt: skip


@cache
def tags(platform: tuple[str, str]) -> frozenset[Tag]:
    system, machine = platform
    if system == "darwin":
        known = list(mac_platforms((14, 0), machine))
    else:
        known = [f"manylinux_2_{minor}_{machine}" for minor in range(5, GLIBC_MINOR + 1)]
        known += [f"manylinux2014_{machine}", f"manylinux1_{machine}", f"linux_{machine}"]
    return frozenset(
        [*cpython_tags(PYTHON, platforms=known), *compatible_tags(PYTHON, "cp311", known)]
    )


def without_wheel(names: set[str], platform: tuple[str, str]) -> list[str]:
    """Packages of an index that would have to be compiled there."""
    return [
        name
        for name in sorted(names)
        if "registry" in packages()[name]["source"]
        and not any(
            parse_wheel_filename(unquote(wheel["url"].rpartition("/")[2]))[3] & tags(platform)
            for wheel in packages()[name].get("wheels", [])
        )
    ]


@pytest.mark.parametrize("platform", PLATFORMS, ids="-".join)
def test_the_command_line_installs_without_a_compiler(platform: tuple[str, str]):
    names = needed(COMMANDS, environment_of(platform))
    assert {"kopf", "pydantic-core", "numpy", "obstore", "fast-sugiyama"} <= names
    assert without_wheel(names, platform) == []


@pytest.mark.parametrize("platform", PLATFORMS, ids="-".join)
def test_make_setup_needs_no_compiler_on_each_platform_but_one(platform: tuple[str, str]):
    environment = environment_of(platform)
    names = needed([*of_group("dev", environment), ("sluicegate", "")], environment)
    assert {"bentoml", "scikit-learn", "ruff", "zensical"} <= names
    # The project cryptography publishes no wheels for Intel's Macs any more.
    assert without_wheel(names, platform) == INTEL_MAC * (platform == ("darwin", "x86_64"))


@pytest.mark.parametrize("platform", LINUX, ids="-".join)
def test_the_images_are_built_without_a_compiler(platform: tuple[str, str]):
    environment = environment_of(platform)
    runtime = needed(of_group("serving", environment), environment)
    gateway = needed(of_group("gateway", environment), environment)
    operator = needed(OPERATOR, environment)
    assert {"bentoml", "scikit-learn"} <= runtime
    assert {"uvloop"} <= operator
    assert without_wheel(runtime | gateway | operator, platform) == []


def test_a_package_without_a_wheel_for_a_platform_is_detected(monkeypatch):
    wheels = [{"url": "https://i.example/a-1.0-cp311-cp311-manylinux_2_28_x86_64.whl"}]
    lock = {"a": {"name": "a", "source": {"registry": "https://i.example"}, "wheels": wheels}}
    monkeypatch.setattr("tests.unit.test_platforms.packages", lambda: lock)
    assert without_wheel({"a"}, ("linux", "x86_64")) == []
    assert without_wheel({"a"}, ("linux", "aarch64")) == ["a"]
    assert without_wheel({"a"}, ("darwin", "arm64")) == ["a"]
