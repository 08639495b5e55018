"""The Dockerfile and the descriptions of cluster/images say the same."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cluster.images import ImageDescription, describe

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Stage:
    """One `FROM … AS name` with its instructions, in order."""

    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def all(self, kind: str) -> list[str]:
        return [value for name, value in self.instructions if name == kind]

    def one(self, kind: str) -> str:
        (value,) = self.all(kind)
        return value


def stages(text: str) -> dict[str, Stage]:
    without_comments = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    found: dict[str, Stage] = {}
    current = Stage("")
    arguments: dict[str, str] = {}
    for line in without_comments.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        kind, _, value = line.strip().partition(" ")
        if kind == "ARG":
            name, _, default = value.partition("=")
            arguments.setdefault(name, default.strip('"'))
        value = re.sub(r"\$(BASE|PYTHON)\b", lambda match: arguments[match[1]], value)
        if kind == "FROM":
            base, _, name = value.partition(" AS ")
            current = found[name] = Stage(base)
        else:
            current.instructions.append((kind, re.sub(r"\s+", " ", value)))
    return found


@pytest.fixture(scope="module")
def dockerfile() -> dict[str, Stage]:
    return stages((ROOT / "Dockerfile").read_text())


@pytest.fixture(params=["runtime", "operator"])
def described(request: pytest.FixtureRequest) -> ImageDescription:
    return describe(request.param)


def words_after(command: str, text: str) -> list[str]:
    """Return the arguments that are no options, of `command` in a RUN line."""
    (found,) = [part for part in text.split("&&") if part.strip().startswith(command)]
    return [word for word in shlex.split(found)[len(command.split()) :] if word[0] != "-"]


def with_option(options: Iterable[str], name: str) -> list[str]:
    prefix = f"--{name}="
    return sorted(word.removeprefix(prefix) for word in options if word.startswith(prefix))


def test_dockerfile_and_image_descriptions_have_the_same_debian_packages(dockerfile, described):
    packages = words_after("apt-get install", dockerfile["base"].one("RUN"))

    assert sorted(packages) == sorted(described.debian.packages)
    assert dockerfile["base"].base == f"debian:{described.debian.suite}-slim"


def test_dockerfile_and_image_descriptions_have_the_same_locked_packages(dockerfile, described):
    run = shlex.split(dockerfile[f"{described.name}-packages"].one("RUN"))

    assert "--frozen" in run
    assert "--require-hashes" in run
    assert with_option(run, "only-group") == sorted(described.python.groups)
    assert with_option(run, "extra") == sorted(described.python.extras)
    assert f"--target={described.python.target}" in run


def test_dockerfile_and_image_descriptions_keep_the_same_programs(dockerfile, described):
    run = dockerfile[f"{described.name}-packages"].one("RUN")

    assert tuple(re.findall(r"! -name (\S+)", run)) == described.python.keep_programs


def test_dockerfile_and_image_descriptions_have_the_same_packages_of_the_repository(
    dockerfile, described
):
    installed = words_after("uv pip install", dockerfile[f"{described.name}-code"].one("RUN"))
    desired = [str(Path(entry.pyproject).parent) for entry in described.code.distributions]

    assert sorted(installed) == sorted(desired)


def test_dockerfile_and_image_descriptions_have_the_same_entrypoint_and_user(dockerfile, described):
    stage, runtime = dockerfile[described.name], described.runtime

    assert json.loads(stage.one("ENTRYPOINT")) == list(runtime.entrypoint)
    assert json.loads(stage.one("CMD")) == list(runtime.command)
    assert stage.one("USER") == runtime.user
    assert stage.one("WORKDIR") == runtime.workdir
    assert stage.one("EXPOSE").split() == [str(port) for port in runtime.ports]
    assert dict(word.split("=", 1) for word in shlex.split(stage.one("ENV"))) == runtime.env


def test_each_dockerfile_layer_is_copied_from_its_build_stage(dockerfile, described):
    copies = {tuple(shlex.split(text)) for text in dockerfile[described.name].all("COPY")}
    python, code = described.python.target, described.code.target

    assert copies == {
        (f"--from={described.name}-packages", python, python),
        (f"--from={described.name}-code", code, code),
    }


def test_the_dockerfile_copies_each_project_of_the_uv_workspace(dockerfile):
    members = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]
    copied = " ".join(dockerfile["packages"].all("COPY")).split()
    sent = re.findall(r"^!(.+)", (ROOT / ".dockerignore").read_text(), flags=re.MULTILINE)

    for project in (f"{member}/pyproject.toml" for member in members["members"]):
        assert project in copied
        assert any(Path(project).is_relative_to(path) for path in sent)


def test_the_dockerfile_uses_the_locked_uv(dockerfile):
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    (version,) = [entry["version"] for entry in lock["package"] if entry["name"] == "uv"]

    assert f"uv=={version}" in dockerfile["packages"].one("RUN")


def test_the_image_has_no_world_writable_lock_file(dockerfile):
    runs = [text for stage in dockerfile.values() for text in stage.all("RUN")]
    installed = [found[1] for text in runs if (found := re.search(r"--target=(\S+)", text))]
    removed = [found[1] for text in runs if (found := re.search(r"rm -f (\S+)/\.lock", text))]

    assert installed
    assert removed == installed


def test_the_dockerfile_needs_no_external_frontend():
    assert "syntax=" not in (ROOT / "Dockerfile").read_text()
