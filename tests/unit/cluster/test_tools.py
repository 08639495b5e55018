"""Programs of the host: those on PATH, those of a Go that is there, those of a Go in a container."""

from __future__ import annotations

import os

import pytest

from cluster import builds
from cluster.cache import cache_folder
from cluster.errors import MissingPrerequisiteError
from cluster.toolchain import IMAGE, go_command
from cluster.tools import on_path
from cluster.versions import versions


@pytest.mark.parametrize(
    ("name", "said", "is_taken"),
    [
        ("helm", 'version.BuildInfo{Version:"v4.3.1", GoVersion:"go1.26.8"}', True),
        ("helm", 'version.BuildInfo{Version:"v3.19.0", GoVersion:"go1.24.7"}', False),
        ("kind", f"kind {versions().modules['sigs.k8s.io/kind']} go1.26.8 linux/amd64", True),
        ("kind", "kind v1.0.0 go1.27.0 darwin/arm64", True),
        ("kind", "kind v0.20.0 go1.20.4 linux/amd64", False),
        ("kind", "", False),
        ("kubectl", "Client Version: v1.37.2\nKustomize Version: v5.7.1", True),
        ("kubectl", "Client Version: v1.36.0\nKustomize Version: v5.7.1", True),
        ("kubectl", "Client Version: v1.35.4\nKustomize Version: v5.7.1", False),
    ],
)
def test_a_tool_on_the_path_is_used_if_it_is_new_enough(install, name, said, is_taken):
    found = install(name, f"echo '{said}'")

    assert on_path(name) == (found if is_taken else None)


BUILDS = """\
case "$1" in
  env) echo go1.99.0 ;;
  build) for word; do test "$last" = -o && echo "$GOOS $*" > "$word"; last="$word"; done ;;
esac
"""


@pytest.mark.parametrize(
    ("name", "system", "built", "package", "goos"),
    [
        ("kubectl", "linux", "kube", ".", "linux"),
        ("kubectl", "darwin", "kubectl", "k8s.io/kubernetes/cmd/kubectl", "darwin"),
        ("kubelet", "darwin", "kube", ".", "linux"),
        ("kind", "linux", "kind", "sigs.k8s.io/kind", "linux"),
        ("kind", "darwin", "kind", "sigs.k8s.io/kind", "darwin"),
        ("helm", "darwin", "helm", "helm.sh/helm/v4/cmd/helm", "darwin"),
        ("etcd", "darwin", "etcd", ".", "linux"),
    ],
)
def test_programs_of_the_host_are_built_for_its_system_and_programs_of_the_node_for_linux(
    install, name, system, built, package, goos
):
    install("env", 'exec /usr/bin/env "$@"')
    install("go", BUILDS)

    program = builds.program(name, system)

    assert program.name == name
    said = program.with_name(built).read_text().split()
    assert (said[0], said[-1]) == (goos, package)


def test_the_installed_go_is_used_if_it_is_new_enough(install):
    install("go", f"echo go{versions().go}.1")
    install("docker", "")

    assert go_command(builds.GO_FOLDER / "kind", {"GOOS": "linux"}) == ["env", "GOOS=linux", "go"]


@pytest.mark.parametrize("own", ["", "go1.19.8"])
def test_without_a_suitable_go_builds_run_in_a_container_as_the_current_user(install, own):
    if own:
        install("go", f"echo {own}")
    install("docker", "")
    module = builds.GO_FOLDER / "kind"

    command = go_command(module, {"GOOS": "darwin"})

    assert command[:3] == ["docker", "run", "--rm"]
    assert command[-2:] == [IMAGE, "go"]
    assert {
        f"--user={os.getuid()}:{os.getgid()}",
        f"--workdir={module}",
        "--env=GOOS=darwin",
        f"--volume={module}:{module}:ro",
        f"--volume={cache_folder()}:{cache_folder()}",
    } <= set(command)


def test_without_go_and_container_engine_both_ways_out_are_reported(path):
    with pytest.raises(MissingPrerequisiteError, match=r"install Go ≥ .*start a Docker engine"):
        builds.program("kind")
