"""What must hold for the workflows beyond their syntax, which `make workflows` reads."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = {path.stem: path for path in (ROOT / ".github" / "workflows").glob("*.yml")}
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
FRAGMENTS = ROOT / "changelog.d"
TOWNCRIER = re.compile(r"\[tool\.towncrier\].*?\n(?=\[)", re.DOTALL)
TARGETS = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def jobs(name: str) -> dict[str, dict[str, Any]]:
    return yaml.safe_load(WORKFLOWS[name].read_text())["jobs"]


def steps(name: str) -> list[dict[str, Any]]:
    return [step for job in jobs(name).values() for step in job["steps"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_make_target_of_a_workflow_exists(name: str):
    asked = {
        target
        for step in steps(name)
        for target in re.findall(r"\bmake ([a-z-]+)", step.get("run", ""))
    }
    assert asked <= TARGETS


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_job_has_a_timeout_and_least_token_permissions(name: str):
    document = yaml.safe_load(WORKFLOWS[name].read_text())
    assert document["permissions"] == {"contents": "read"}
    assert all(job["timeout-minutes"] <= 180 for job in document["jobs"].values())


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_github_action_is_pinned_by_commit_with_its_version_in_a_comment(name: str):
    lines = re.findall(r"\buses: *(.+)", WORKFLOWS[name].read_text())
    assert len(lines) == len([step for step in steps(name) if "uses" in step])
    assert [line for line in lines if not PINNED.fullmatch(line)] == []


def test_all_workflows_pin_a_github_action_to_the_same_commit():
    commits = defaultdict(set)
    for path in WORKFLOWS.values():
        for action, pin in re.findall(r"\buses: *([^@\s]+)@(.+)", path.read_text()):
            commits[action].add(pin)
    assert {action: pins for action, pins in commits.items() if len(pins) > 1} == {}


def test_the_tests_deselected_for_newest_dependencies_exist():
    (job,) = jobs("newest").values()
    for option in job["env"]["PYTEST_ADDOPTS"].split():
        path, _, name = option.removeprefix("--deselect=").partition("::")
        assert f"def {name}(" in (ROOT / path).read_text(), option


def test_the_fast_checks_run_on_each_supported_python():
    least = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    later = jobs("check")["pythons"]["strategy"]["matrix"]["python"]
    assert [least.removeprefix(">="), *later] == ["3.11", "3.12", "3.13"]
    assert (ROOT / ".python-version").read_text().strip() == "3.11"


def test_the_devcontainer_has_the_versions_of_the_workflows():
    container = json.loads((ROOT / ".devcontainer/devcontainer.json").read_text())
    (go,) = {
        step["with"]["go-version"]
        for name in WORKFLOWS
        for step in steps(name)
        if "go-version" in step.get("with", {})
    }
    assert container["features"]["ghcr.io/devcontainers/features/go:1"] == {"version": go}
    assert f"-{(ROOT / '.python-version').read_text().strip()}-" in container["image"]
    assert container["postCreateCommand"].removeprefix("make ") in TARGETS


def test_the_paths_of_codeowners_exist():
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    paths = [line.split()[0] for line in lines if line.startswith("/")]
    assert paths
    assert all((ROOT / path.strip("/")).exists() for path in paths)


def test_each_team_of_codeowners_is_explained_and_owns_something():
    lines = (ROOT / ".github" / "CODEOWNERS").read_text().splitlines()
    explained = {line.split()[1] for line in lines if line.startswith("# @")}
    owning = {team for line in lines if not line.startswith("#") for team in line.split()[1:]}
    assert explained == owning


@pytest.mark.parametrize(("file", "least"), [("Dockerfile", 1), ("cluster/versions.toml", 4)])
def test_the_renovate_pattern_matches_each_pinned_version(file, least):
    managers = json.loads((ROOT / "renovate.json").read_text())["customManagers"]
    (manager,) = (
        manager
        for manager in managers
        if re.search(manager["managerFilePatterns"][0].strip("/"), file)
    )
    pattern = manager["matchStrings"][0].replace("(?<", "(?P<")
    assert len(re.findall(pattern, (ROOT / file).read_text())) == least


def notes(version: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / ".ci/release_notes.py", version],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip


def release_of(folder: Path, version: str) -> Path:
    """The files of a repository that a release reads, at a version."""
    (folder / "charts/sluicegate").mkdir(parents=True)
    (folder / "bentos/service").mkdir(parents=True)
    for path in ("pyproject.toml", "bentos/service/pyproject.toml"):
        (folder / path).write_text(f'[project]\nname = "x"\nversion = "{version}"\n')
    chart = f"name: sluicegate\nversion: {version}\nappVersion: {version}\n"
    (folder / "charts/sluicegate/Chart.yaml").write_text(chart)
    (folder / "CHANGELOG.md").write_text(
        f"# Changelog\n\n## [Unreleased]\n\n## [{version}] - 2026-12-01\n\n- New.\n\n## [0.0.1]\n\n- Old.\n"
    )
    return folder


def test_a_release_has_a_krew_manifest_that_runs_the_package_of_its_version(tmp_path: Path):
    url = "https://github.com/example/sluicegate/releases/download/v1.2.3"
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        command = [sys.executable, ROOT / ".ci/krew.py", "1.2.3", url, tmp_path / folder]
        subprocess.run(command, check=True)
    packed = (tmp_path / "one/kubectl-sluicegate.tar.gz").read_bytes()
    assert packed == (tmp_path / "two/kubectl-sluicegate.tar.gz").read_bytes()
    manifest = yaml.safe_load((tmp_path / "one/sluicegate.yaml").read_text())
    (platform,) = manifest["spec"]["platforms"]
    assert platform["sha256"] == hashlib.sha256(packed).hexdigest()
    assert platform["uri"] == f"{url}/kubectl-sluicegate.tar.gz"
    assert manifest["spec"]["homepage"] == "https://github.com/example/sluicegate"
    with tarfile.open(tmp_path / "one/kubectl-sluicegate.tar.gz") as archive:
        archive.extractall(tmp_path, filter="data")
    assert (tmp_path / "LICENSE").exists(), "krew asks for it"
    program = tmp_path / platform["bin"]
    missing = subprocess.run(
        ["/bin/sh", program],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (missing.returncode, "needs uv" in missing.stderr) == (1, True)
    fake = tmp_path / "uvx"
    fake.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    fake.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", program, "get", "-l", "a in (b, c)"],
        env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines() == [
        "--quiet", "--from", "sluicegate[web]==1.2.3", "kubectl-sluicegate", "get", "-l", "a in (b, c)",
    ]  # fmt: skip


def test_the_release_notes_are_the_changelog_section_of_the_version(tmp_path: Path):
    done = notes("1.2.3", release_of(tmp_path, "1.2.3"))
    assert (done.returncode, done.stdout) == (0, "- New.\n"), done.stderr


def test_a_tag_without_a_matching_version_is_no_release(tmp_path: Path):
    done = notes("1.2.4", release_of(tmp_path, "1.2.3"))

    assert done.returncode == 1
    for said in (
        "pyproject.toml: is 1.2.3",
        "Chart.yaml: is 1.2.3",
        "CHANGELOG.md: has no section",
    ):
        assert said in done.stderr


def test_a_new_version_collects_the_unreleased_section_and_the_fragments(tmp_path: Path):
    folder = release_of(tmp_path, "1.2.3")
    changelog = folder / "CHANGELOG.md"
    changelog.write_text(
        "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- By hand.\n\n## [0.0.1]\n\n- Old.\n"
    )
    shutil.copytree(FRAGMENTS, folder / "changelog.d")
    for fragment in (folder / "changelog.d").glob("*.*.md"):
        fragment.unlink()
    (folder / "changelog.d/pushes.added.md").write_text("**Pushes.** They wait.\n")
    (folder / "changelog.d/canaries.fixed.md").write_text("A canary ends.\n")
    (folder / "pyproject.toml").write_text(
        (folder / "pyproject.toml").read_text()
        + "\n"
        + TOWNCRIER.search((ROOT / "pyproject.toml").read_text())[0]
    )
    early = notes("1.2.3", folder)
    assert "changelog.d/pushes.added.md: is not in CHANGELOG.md" in early.stderr

    build = [
        sys.executable,
        "-m",
        "towncrier",
        "build",
        "--yes",
        "--version",
        "1.2.3",
        "--date",
        "2026-12-01",
    ]
    subprocess.run(build, cwd=folder, check=True, capture_output=True)

    done = notes("1.2.3", folder)
    assert (done.returncode, done.stdout.split("\n\n")) == (0, [
        "### Added\n- **Pushes.** They wait.", "### Fixed\n- A canary ends.", "### Added", "- By hand.\n",
    ]), done.stderr  # fmt: skip
    assert changelog.read_text().startswith(
        "# Changelog\n\n## [Unreleased]\n\n## [1.2.3] - 2026-12-01\n\n### Added\n"
    )


def test_each_changelog_fragment_has_a_type_and_is_no_list():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    types = {each["directory"] for each in project["tool"]["towncrier"]["type"]}
    for path in set(FRAGMENTS.iterdir()) - {
        FRAGMENTS / "README.md",
        FRAGMENTS / "template.md.jinja",
    }:
        assert re.fullmatch(rf"[a-z0-9-]+\.({'|'.join(types)})\.md", path.name), path.name
        assert re.fullmatch(r"[^-\s#].+\n", path.read_text(), re.DOTALL), path.name


def test_a_release_job_with_an_identity_waits_for_the_protected_environment():
    signing = {
        name for name, job in jobs("release").items() if "id-token" in job.get("permissions", {})
    }
    assert signing == {"images", "chart", "packages", "publish"}
    assert {name: jobs("release")[name].get("environment") for name in signing} == dict.fromkeys(
        signing, "release"
    )


DIGESTS = {"operator": f"sha256:{'a' * 64}", "runtime": f"sha256:{'b' * 64}"}


def chart_release(folder: Path, *digests: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / ".ci/chart_release.py", "1.2.3", "registry.test/x", *digests, folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_chart_of_a_release_names_its_images_by_digest(tmp_path: Path):
    done = chart_release(tmp_path, *DIGESTS.values())
    assert done.returncode == 0, done.stderr
    values = yaml.safe_load((tmp_path / "sluicegate/values.yaml").read_text())
    assert values["image"]["repository"] == "registry.test/x/operator"
    assert values["image"]["digest"] == DIGESTS["operator"]
    assert values["settings"]["defaultRuntimeImage"] == (
        f"registry.test/x/runtime@{DIGESTS['runtime']}"
    )
    unchanged = yaml.safe_load((ROOT / "charts/sluicegate/values.yaml").read_text())
    for part in ("image", "settings"):
        values.pop(part)
        unchanged.pop(part)
    assert values == unchanged


def test_the_sbom_of_a_chart_lists_its_images_and_crds(tmp_path: Path):
    assert chart_release(tmp_path, *DIGESTS.values()).returncode == 0
    text = (tmp_path / "sbom.cdx.json").read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    components = json.loads(text)["components"]
    assert {component["name"]: component["version"] for component in components} == {
        **{f"registry.test/x/{image}": digest for image, digest in DIGESTS.items()},
        "dataproducts.sluicegate.dev": "1.2.3",
        "dataproductreviews.sluicegate.dev": "1.2.3",
    }


def test_a_chart_is_not_released_without_the_digests_of_its_images(tmp_path: Path):
    done = chart_release(tmp_path, "", DIGESTS["runtime"])
    assert done.returncode == 1
    assert "operator: is '': give the digest of the pushed image" in done.stderr
    assert list(tmp_path.iterdir()) == []
