"""Versions are pinned in cluster/versions.toml; everything else agrees with it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from cluster.builds import GO_FOLDER, recipes
from cluster.components import fake_node
from cluster.images import describe
from cluster.versions import versions

REPOSITORY = Path(__file__).resolve().parents[3]
GO_MODULES = sorted(path for path in GO_FOLDER.iterdir() if (path / "go.mod").exists())


def required(folder: Path) -> dict[str, str]:
    """Return the direct and indirect requirements of a go.mod: module → version."""
    text = (folder / "go.mod").read_text()
    return dict(re.findall(r"^(?:require|\t)\s*(\S+) (v\S+)", text, flags=re.MULTILINE))


def locked() -> dict[str, set[str]]:
    packages = tomllib.loads((REPOSITORY / "uv.lock").read_text())["package"]
    found: dict[str, set[str]] = {}
    for package in packages:
        found.setdefault(package["name"], set()).add(package.get("version", ""))
    return found


def min_chart_version() -> tuple[int, int]:
    chart = yaml.safe_load((REPOSITORY / "charts/sluicegate/Chart.yaml").read_text())
    major, minor = re.search(r">=\s*v?(\d+)\.(\d+)", chart["kubeVersion"]).groups()
    return int(major), int(minor)


def number(version: str) -> tuple[int, int]:
    major, minor = version.removeprefix("v").split(".")[:2]
    return int(major), int(minor)


@pytest.mark.parametrize(
    "recipe", [recipe for recipe in recipes().values() if recipe.module], ids=lambda r: r.package
)
def test_each_go_mod_requires_the_pinned_version(recipe):
    assert required(GO_FOLDER / recipe.folder)[recipe.module] == recipe.version


@pytest.mark.parametrize(
    ("folder", "module"),
    [
        ("gateway-api", "sigs.k8s.io/gateway-api"),
        ("helm-controller", "github.com/fluxcd/helm-controller"),
        ("argo-cd", "github.com/argoproj/argo-cd/v3"),
    ],
)
def test_a_go_module_whose_files_are_read_has_the_pinned_version(folder, module):
    assert required(GO_FOLDER / folder)[module] == versions().modules[module]


@pytest.mark.parametrize("folder", ["kube", "kubeadm"])
def test_kubernetes_staging_modules_have_the_release_of_kubernetes(folder):
    text = (GO_FOLDER / folder / "go.mod").read_text()
    replaced = dict(re.findall(r"(k8s\.io/\S+) => k8s\.io/\S+ (v\S+)", text))

    assert set(replaced.values()) == {versions().kubernetes.replace("v1.", "v0.", 1)}


def test_modules_shared_by_the_go_programs_have_one_version():
    """Another version of client-go alone costs a cold start half a minute of two cores."""
    folders = ("kube", "helm", "prometheus", "coredns", "containerd", "etcd", "kwok")
    asked: dict[str, list[str]] = {}
    for folder in folders:
        for module, version in required(GO_FOLDER / folder).items():
            asked.setdefault(module, []).append(version)
    shared = {module: set(each) for module, each in asked.items() if len(each) > 2}
    # Compiled on Windows alone; and replaced in Kubernetes' own go.mod, whatever it asks for.
    for exempt in ("github.com/Microsoft/go-winio", "k8s.io/cri-streaming"):
        shared.pop(exempt, None)

    assert "k8s.io/client-go" in shared
    assert {module: each for module, each in shared.items() if len(each) > 1} == {}


@pytest.mark.parametrize("folder", GO_MODULES, ids=lambda folder: folder.name)
def test_no_go_module_requires_a_newer_go_than_the_prerequisites(folder):
    asked = re.search(r"^go (\S+)", (folder / "go.mod").read_text(), flags=re.MULTILINE)[1]

    assert number(asked) <= number(versions().go)


@pytest.mark.parametrize(("name", "version"), sorted(versions().packages.items()))
def test_the_python_lock_file_has_the_pinned_versions(name, version):
    assert locked()[name] == {version}


def test_the_python_client_is_of_the_cluster_s_minor_version():
    client_major = int(versions().packages["kubernetes"].split(".")[0])

    assert client_major == number(versions().kubernetes)[1]


def test_the_prometheus_version_follows_from_its_go_module():
    assert re.fullmatch(r"3\.\d+\.\d+", versions().prometheus)
    assert versions().prometheus == "3.16.0"


def test_kind_runs_the_pinned_image_which_is_new_enough_for_image_volumes():
    configuration = yaml.safe_load((REPOSITORY / "kind-config.yaml").read_text())
    images = {node["image"] for node in configuration["nodes"]}
    tag = re.search(r":v(\d+\.\d+)", versions().kind_image)[1]

    assert images == {versions().kind_image}
    assert number(tag) >= number(versions().kind_least)


def test_the_chart_requires_at_most_the_kubernetes_version_of_the_cluster():
    assert min_chart_version() <= number(versions().kubernetes)


def test_the_images_use_the_pinned_debian_and_python():
    descriptions = [
        tomllib.loads(path.read_text())
        for path in (REPOSITORY / "cluster/images").glob("*.toml")
        if not path.stem.startswith("runtime-python")  # it has that of another Python
    ]
    suites = {d["debian"]["suite"] for d in descriptions if "debian" in d}

    assert suites == {versions().debian}


@pytest.mark.parametrize(("name", "published"), sorted(versions().published.items()))
def test_a_published_image_is_pinned_and_of_the_major_version_that_is_built(name, published):
    tag = re.fullmatch(r"[a-z0-9.]+\.[a-z]+/[a-z/-]+:v?([\d.]+)@sha256:[0-9a-f]{64}", published)[1]

    assert number(tag)[0] == number(describe(name).version)[0]


def test_the_cache_key_of_a_build_changes_with_its_flags():
    recipe = recipes()["prometheus"]
    other = recipes()["promtool"]

    assert recipe.key() != other.key()
    assert re.fullmatch(r"[0-9a-f]{10}", recipe.key())


def test_a_fake_node_is_marked_for_kwok():
    assert fake_node(1)["metadata"]["annotations"] == {"kwok.x-k8s.io/node": "fake"}
