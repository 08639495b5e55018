"""What kind's node image is built from where no registry is reached.

Debian's packages, kind's own files from its pinned module, the cluster's programs from their Go
modules, and the control plane's images made of the same programs. The Dockerfile beside this puts
them together.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

from cluster.builds import KUBE_PROGRAMS, module_folder, program
from cluster.cache import cache_folder
from cluster.images import archive, build, describe
from cluster.images.description import Debian, ImageDescription, Runtime
from cluster.images.layers import Layer, LayerStore
from cluster.images.tarballs import add_bytes, write_tree
from cluster.versions import versions
from sluicegate_service import oci

KIND_MODULE = "sigs.k8s.io/kind"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXY_PACKAGES = ("conntrack", "iptables", "kmod", "nftables", "usr-is-merged")
# kind gives its only node this part of 10.244.0.0/16; kindnetd would write the same by itself.
POD_NETWORK = {
    "cniVersion": "0.3.1",
    "name": "pods",
    "plugins": [
        {
            "type": "ptp",
            "ipMasq": True,
            "ipam": {
                "type": "host-local",
                "dataDir": "/run/cni-ipam-state",
                "routes": [{"dst": "0.0.0.0/0"}],
                "ranges": [[{"subnet": "10.244.0.0/24"}]],
            },
        },
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ],
}
# kind creates what is in here after the control plane; the network needs no pod.
NETWORK_MANIFEST = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "pod-network", "namespace": "kube-system"},
    "data": {"network": "static: /etc/cni/net.d/10-pods.conflist"},
}


def write_context(folder: Path, *, restricted: bool) -> None:
    """Write into `folder` what `docker build` needs.

    `restricted` is for an engine without CAP_SYS_RESOURCE, in which no limit can be raised.
    """
    shutil.copyfile(Path(__file__).with_name("Dockerfile"), folder / "Dockerfile")
    store = LayerStore(cache_folder() / "layers")
    _write_root(folder / "root")
    if restricted:
        _raise_no_limit(folder / "root")
    (folder / "images").mkdir()
    _write_images(folder, store)


def _write_root(root: Path) -> None:
    files = module_folder(KIND_MODULE) / "images" / "base" / "files"
    for path in (path for path in files.rglob("*") if path.is_file()):
        _install(path, root / path.relative_to(files), runs="bin" in path.parent.name)
    for name in ("containerd", "containerd-shim-runc-v2", "ctr"):
        _install(program(name), root / "usr/local/bin" / name, runs=True)
    _install(program("kubeadm"), root / "usr/bin/kubeadm", runs=True)
    # `docker cp` of kubectl, by which the tool gets it, copies a link as a link.
    _install(program("kube"), root / "usr/bin/kubectl", runs=True)
    (root / "usr/bin/kubelet").symlink_to("kubectl")
    _write(root / "kind/version", versions().kubernetes)
    _write(root / "kind/manifests/default-cni.yaml", json.dumps(NETWORK_MANIFEST))
    _write(root / "etc/cni/net.d/10-pods.conflist", json.dumps(POD_NETWORK))


def _raise_no_limit(root: Path) -> None:
    unit = root / "etc/systemd/system/containerd.service"
    lines = unit.read_text().splitlines(keepends=True)
    unit.write_text("".join(x for x in lines if not x.startswith(("Limit", "OOMScoreAdjust"))))
    config = root / "etc/containerd/config.toml"
    config.write_text(config.read_text().replace("adj = false", "adj = true"))


def _write_images(folder: Path, store: LayerStore) -> None:
    """Write one archive for each program, under the names that kubeadm and containerd require."""
    config = (folder / "root/etc/containerd/config.toml").read_text()
    sandbox = re.findall(r'sandbox_image = "(.+)"', config)
    desired = [name for name in _kubeadm_images() if "/pause:" not in name] + sandbox
    proxy = store.debian(Debian(suite=versions().debian, packages=PROXY_PACKAGES))
    kube = [proxy, _kube_layer(folder / "kube-layer.tar")]
    _archive(folder, "kube", kube, [name for name in desired if "/kube-" in name])
    for name, target in (
        ("etcd", "/usr/local/bin/etcd"),
        ("coredns", "/coredns"),
        ("pause", "/pause"),
    ):
        layers = [store.program(program(name), target)]
        _archive(folder, name, layers, [one for one in desired if f"/{name}:" in one], target)
    (folder / "kube-layer.tar").unlink()
    for name, published in versions().published.items():
        repository, _, digest = published.partition("@")
        _copy_under_name(folder, name, f"{repository.rpartition(':')[0]}@{digest}")


def _copy_under_name(folder: Path, name: str, reference: str) -> None:
    """Copy the image of an add-on's program under the name that its project publishes it by."""
    with tarfile.open(build(describe(name)).archive) as source:
        index = json.load(source.extractfile("index.json"))
        manifest = index["manifests"][0]
        manifest["annotations"] = {archive.NAME: reference}
        with tarfile.open(folder / "images" / f"{name}.tar", "w") as target:
            for member in source:
                if member.name == "index.json":
                    add_bytes(
                        target, member.name, json.dumps({**index, "manifests": [manifest]}).encode()
                    )
                else:
                    target.addfile(member, source.extractfile(member) if member.isfile() else None)


def _kubeadm_images() -> list[str]:
    command = (program("kubeadm"), "config", "images", "list")
    done = subprocess.run(
        [*command, f"--kubernetes-version={versions().kubernetes}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split()


def _kube_layer(path: Path) -> Layer:
    tree = path.with_suffix("")
    _install(program("kube"), tree / "kube", runs=True)
    for name in KUBE_PROGRAMS:
        (tree / name).symlink_to("kube")
    with path.open("wb") as file:
        sink = oci.HashingWriter(file)
        write_tree(tree, "/usr/local/bin", sink)
    shutil.rmtree(tree)
    return Layer(path, sink.digest, sink.size, "copy kube and links to /usr/local/bin")


def _archive(
    folder: Path, name: str, layers: list[Layer], references: list[str], entrypoint: str = ""
) -> None:
    assert references, f"kubeadm wants no image {name}"
    runtime = Runtime(entrypoint=(entrypoint,) if entrypoint else (), env={"PATH": PATH})
    image = archive.compose(ImageDescription(name=name, version="0", runtime=runtime), layers)
    manifest = image.manifest.descriptor(oci.MANIFEST_TYPE)
    entries = [{**manifest, "annotations": {archive.NAME: reference}} for reference in references]
    index = oci.Blob.of({"schemaVersion": 2, "manifests": entries})
    with (folder / "images" / f"{name}.tar").open("wb") as file:
        archive.write(replace(image, index=index), layers, file)


def _install(source: Path, target: Path, *, runs: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o755 if runs else 0o644)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
