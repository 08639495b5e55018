"""What a first start announces: what is missing, how much comes over the network, and how long."""

from __future__ import annotations

import pytest

from cluster import builds
from cluster.backend_choice import choose_backend
from cluster.cache import cache_folder
from cluster.first_start import PROGRAMS, first_start, told
from cluster.identity import Identity
from cluster.local import PROGRAMS as OF_THE_NODE
from cluster.toolchain import IMAGE as GO_IMAGE
from cluster.versions import versions


def announced(backend, system="linux"):
    return "\n".join(told(first_start(choose_backend(backend, Identity("mine")), system)))


LACKS_ALL = 'case "$1" in image) exit 1 ;; esac'


def test_with_docker_alone_the_first_start_announces_the_go_image_and_the_tools(install):
    install("docker", LACKS_ALL)

    said = announced("kind")

    for what in (
        GO_IMAGE,
        "kind, compiled",
        "Helm, compiled",
        "kindest/node:v1.37",
        "docker build",
    ):
        assert what in said
    assert "etcd" not in said
    assert said.startswith("The first start on this machine takes 1.5 GB over the network")


def test_the_first_start_does_not_announce_tools_on_the_path(install):
    install("docker", LACKS_ALL)
    install("go", f"echo go{versions().go}")
    install("kind", f"echo kind {versions().modules['sigs.k8s.io/kind']}")
    install("helm", "echo v4.3.1")

    said = announced("kind")

    assert "compiled" not in said
    assert GO_IMAGE not in said
    assert "kindest/node" in said


@pytest.mark.parametrize(("system", "is_announced"), [("linux", False), ("darwin", True)])
def test_the_first_start_announces_kubectl_if_that_of_the_node_does_not_run(
    install, system, is_announced
):
    install("docker", LACKS_ALL)

    assert ("kubectl, compiled" in announced("kind", system)) is is_announced

    install("kubectl", 'test "$2" = --client && echo Client Version: v1.37.2')
    assert "kubectl, compiled" not in announced("kind", system)


def test_the_first_start_does_not_announce_an_existing_image(install):
    install("docker", "")
    install("kind", f"echo kind {versions().modules['sigs.k8s.io/kind']}")
    install("helm", "echo v4.3.1")

    said = announced("kind")

    assert "Prometheus, Traefik and the registry" in said
    assert "docker build" not in said
    assert "kindest/node" not in said


def test_without_docker_the_first_start_announces_each_program_and_image_once(path):
    said = announced("local")

    assert [line for line in PROGRAMS.values() if line.what not in said] == []
    assert "8 min" in said

    for name in (*PROGRAMS, "helm"):
        recipe = builds.recipes()[name]
        folder = cache_folder() / "programs" / name / f"{recipe.version}-{recipe.key()}"
        folder.mkdir(parents=True)
        (folder / name).touch()
    for name in ("operator", "runtime", "registry", "traefik"):
        images = cache_folder() / "images"
        images.mkdir(exist_ok=True)
        (images / f"{name}-0123456789ab.tar").touch()
    assert announced("local") == ""


def test_the_first_start_announces_each_program_of_the_node():
    built = {"kube" if name.startswith("kube") else name for name in OF_THE_NODE}
    assert built <= set(PROGRAMS)
