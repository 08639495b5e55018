"""Builds the cluster's programs from their Go modules, each once per version and flags.

Every program has a module of its own under `go/`, because their requirements conflict. A build
is asked for by name and only when a command needs it: the API-server tests need `etcd` and
`kube` and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.cache import cache_folder, fresh_folder, locked
from cluster.errors import NO_SPACE, BuildError, disk_full, require_space
from cluster.toolchain import go_command
from cluster.versions import versions

if TYPE_CHECKING:
    from collections.abc import Iterable

GO_FOLDER = Path(__file__).with_name("go")
# Measured cold: Go's own build cache for Kubernetes takes 2.5 GiB, the others about 0.5 GiB each.
SPACE_MIB = 1_500
REPORT_SECONDS = 15.0
# A build fetches and links with one core or none; the other build compiles meanwhile.
BUILDS_AT_ONCE = 2
KUBE_PROGRAMS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-proxy",
    "kube-scheduler",
    "kubectl",
    "kubelet",
)
ARGO_CD_PROGRAMS = ("argocd-application-controller", "argocd-repo-server", "argocd-server")


# kwok does nothing without being told how nodes and pods live; these are its own defaults.
KWOK_STAGES = (
    "kustomize/stage/node/fast/node-initialize.yaml",
    "kustomize/stage/node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "kustomize/stage/pod/fast/pod-ready.yaml",
    "kustomize/stage/pod/fast/pod-complete.yaml",
    "kustomize/stage/pod/fast/pod-delete.yaml",
)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How one program is built: its module, the package in it, and the linker's settings.

    `files` are paths in the module that the program needs at hand; they lie beside it then. A
    program `of_host` runs on this machine; the others run on the node, which is Linux.
    """

    folder: str
    module: str
    package: str = "."
    tags: str = ""
    settings: dict[str, str] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    of_host: bool = False

    @property
    def version(self) -> str:
        """The module's version, e.g. `v1.37.2`; our own programs have none."""
        return versions().modules[self.module] if self.module else "v0"

    def flags(self) -> list[str]:
        """Return the flags of `go build` that change the program."""
        linker = ["-s", "-w", *(f"-X {name}={value}" for name, value in self.settings.items())]
        return [
            "-trimpath",
            "-buildvcs=false",
            f"-tags={self.tags}",
            f"-ldflags={' '.join(linker)}",
        ]

    def key(self) -> str:
        """Hash of the inputs: sources, the modules' sums and flags; 10 hex digits."""
        digest = hashlib.sha256(
            json.dumps([self.package, self.flags(), self.links, self.files]).encode()
        )
        for path in sorted((GO_FOLDER / self.folder).iterdir()):
            if path.name in {"go.mod", "go.sum"} or path.suffix == ".go":
                digest.update(path.name.encode() + b"\0" + path.read_bytes())
        return digest.hexdigest()[:10]


_COMPONENT_VERSION = "k8s.io/component-base/version"
_CONTAINERD = "github.com/containerd/containerd/v2"
_PROMETHEUS = "github.com/prometheus/prometheus"
_METRICS_SERVER = "sigs.k8s.io/metrics-server"
_FLAGGER = "github.com/fluxcd/flagger"
_OAUTH2_PROXY = "github.com/oauth2-proxy/oauth2-proxy/v7"
_ARGO_ROLLOUTS = "github.com/argoproj/argo-rollouts"
_COSIGN = "github.com/sigstore/cosign/v3"
_ARGO_CD = "github.com/argoproj/argo-cd/v3"


def _kubernetes(
    folder: str, package: str = ".", links: tuple[str, ...] = (), *, of_host: bool = False
) -> Recipe:
    # Without these, clients see v0.0.0 and version checks go wrong.
    version = versions().kubernetes
    major, minor, _ = version.removeprefix("v").split(".")
    return Recipe(
        folder=folder,
        module="k8s.io/kubernetes",
        package=package,
        settings={
            f"{_COMPONENT_VERSION}.gitVersion": version,
            f"{_COMPONENT_VERSION}.gitMajor": major,
            f"{_COMPONENT_VERSION}.gitMinor": minor,
        },
        links=links,
        of_host=of_host,
    )


def _containerd(program: str) -> Recipe:
    return Recipe(
        folder="containerd",
        module=_CONTAINERD,
        package=f"{_CONTAINERD}/cmd/{program}",
        tags="no_btrfs no_devmapper no_zfs",
        settings={f"{_CONTAINERD}/version.Version": versions().modules[_CONTAINERD]},
    )


def _prometheus(program: str) -> Recipe:
    return Recipe(
        folder="prometheus",
        module=_PROMETHEUS,
        package=f"{_PROMETHEUS}/cmd/{program}",
        # All other service discoveries bring a cloud's client library: half of the build.
        tags="remove_all_sd enable_kubernetes_sd",
        settings={"github.com/prometheus/common/version.Version": versions().prometheus},
    )


def _flux(controller: str) -> Recipe:
    module = f"github.com/fluxcd/{controller}"
    return Recipe("flux", module, package=module)


def recipes() -> dict[str, Recipe]:
    """Return the recipes of all programs, by name."""
    return {
        "etcd": Recipe("etcd", "go.etcd.io/etcd/server/v3"),
        "kube": _kubernetes("kube", links=KUBE_PROGRAMS),
        "kubeadm": _kubernetes("kubeadm", "k8s.io/kubernetes/cmd/kubeadm"),
        # Only where `kube`, which holds it, doesn't run: see `program`.
        "kubectl": _kubernetes("kube", "k8s.io/kubernetes/cmd/kubectl", of_host=True),
        "containerd": _containerd("containerd"),
        "containerd-shim-runc-v2": _containerd("containerd-shim-runc-v2"),
        "ctr": _containerd("ctr"),
        "coredns": Recipe("coredns", "github.com/coredns/coredns"),
        "prometheus": _prometheus("prometheus"),
        "promtool": _prometheus("promtool"),
        "alertmanager": Recipe(
            "alertmanager",
            "github.com/prometheus/alertmanager",
            package="github.com/prometheus/alertmanager/cmd/alertmanager",
        ),
        "helm": Recipe(
            "helm",
            "helm.sh/helm/v4",
            package="helm.sh/helm/v4/cmd/helm",
            settings={
                "helm.sh/helm/v4/internal/version.version": versions().modules["helm.sh/helm/v4"]
            },
            of_host=True,
        ),
        "kwok": Recipe(
            "kwok", "sigs.k8s.io/kwok", package="sigs.k8s.io/kwok/cmd/kwok", files=KWOK_STAGES
        ),
        # Only `make queues` asks for the next two.
        "kueue": Recipe("kueue", "sigs.k8s.io/kueue", package="sigs.k8s.io/kueue/cmd/kueue"),
        "trainer": Recipe("trainer", "github.com/kubeflow/trainer/v2"),
        "metrics-server": Recipe(
            "metrics-server",
            _METRICS_SERVER,
            package=f"{_METRICS_SERVER}/cmd/metrics-server",
            settings={
                f"{_METRICS_SERVER}/pkg/version.gitVersion": versions().modules[_METRICS_SERVER]
            },
        ),
        # Only `make signatures` asks for it.
        "cosign": Recipe("cosign", _COSIGN, package=f"{_COSIGN}/cmd/cosign"),
        # Only the test of the portfolio page behind a proxy asks for the next two.
        "oauth2-proxy": Recipe(
            "oauth2-proxy",
            _OAUTH2_PROXY,
            package=_OAUTH2_PROXY,
            settings={f"{_OAUTH2_PROXY}/pkg/version.VERSION": versions().modules[_OAUTH2_PROXY]},
        ),
        "mockoidc": Recipe("mockoidc", "github.com/oauth2-proxy/mockoidc"),
        "pause": Recipe("pause", module=""),
        "actionlint": Recipe(
            "actionlint",
            "github.com/rhysd/actionlint",
            package="github.com/rhysd/actionlint/cmd/actionlint",
            of_host=True,
        ),
        "kind": Recipe("kind", "sigs.k8s.io/kind", package="sigs.k8s.io/kind", of_host=True),
        "flagger": Recipe("flagger", _FLAGGER, package=f"{_FLAGGER}/cmd/flagger"),
        "argo-rollouts": Recipe(
            "argo-rollouts",
            _ARGO_ROLLOUTS,
            package=f"{_ARGO_ROLLOUTS}/cmd/rollouts-controller",
            settings={
                f"{_ARGO_ROLLOUTS}/utils/version.version": versions().modules[_ARGO_ROLLOUTS]
            },
        ),
        "source-controller": _flux("source-controller"),
        "kustomize-controller": _flux("kustomize-controller"),
        "argo-cd": Recipe(
            "argo-cd",
            _ARGO_CD,
            # Its server refuses requests, its own included, of a version with a `v`.
            settings={f"{_ARGO_CD}/common.version": versions().modules[_ARGO_CD].removeprefix("v")},
            links=ARGO_CD_PROGRAMS,
        ),
    }


def program(name: str, system: str = sys.platform) -> Path:
    """Return path of a program, built if it isn't in the cache.

    `name` is one of `recipes()` or a program inside `kube`, such as `kubelet`. `system` is this
    machine's, as `sys.platform` has it.

    Raises
    ------
    BuildError
        The name is unknown or the build failed; the message holds the compiler's last lines.
    DiskFullError
        The disk ran full.
    """
    recipe = recipes().get(name)
    if name in KUBE_PROGRAMS and (system == "linux" or recipe is None):
        return program("kube").with_name(name)
    if recipe is None:
        existing = ", ".join(sorted([*recipes(), *KUBE_PROGRAMS]))
        raise BuildError(f"there is no program {name!r} to build; known are {existing}")
    folder = _folder(name, recipe)
    if not (folder / name).exists():
        with locked(f"build-{name}", on_wait=lambda: _say(f"waiting for a build of {name}")):
            if not (folder / name).exists():
                _build(name, recipe, folder, system)
    return folder / name


def build_all(names: Iterable[str]) -> dict[str, Path]:
    """Return paths of several programs, by name; of those that aren't in the cache, two are built at a time.

    Kubernetes comes first: it takes half of the time, and leaves most packages of those that
    follow in Go's build cache.

    Raises
    ------
    BuildError
        As `program`; the build beside it ends first.
    """
    ordered = list(names)
    recipe_names = dict.fromkeys("kube" if name in KUBE_PROGRAMS else name for name in ordered)
    with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        try:
            for _ in pool.map(program, sorted(recipe_names, key=lambda name: name != "kube")):
                pass
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {name: program(name) for name in ordered}


def is_built(name: str) -> bool:
    """Return whether the cache has a program of `recipes()`."""
    return (_folder(name, recipes()[name]) / name).exists()


def _folder(name: str, recipe: Recipe) -> Path:
    return cache_folder() / "programs" / name / f"{recipe.version}-{recipe.key()}"


def module_folder(module: str, requiring: str = "") -> Path:
    """Return the folder of a pinned module's sources, for the files that it ships beside its code.

    `requiring` is the folder under `go/` whose module requires it, where that isn't the module's own.
    """
    built = {recipe.module: recipe.folder for recipe in recipes().values()}
    own = built.get(module, re.sub(r"/v\d+$", "", module).rsplit("/", 1)[-1])
    folder = requiring or own
    return _module_folder(module, GO_FOLDER / folder)


def _module_folder(module: str, folder: Path) -> Path:
    answer = subprocess.run(
        [*go_command(folder, {}), "mod", "download", "-json", module],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode:
        raise BuildError(f"module {module} can't be fetched: {answer.stdout or answer.stderr}")
    return Path(json.loads(answer.stdout)["Dir"])


def _build(name: str, recipe: Recipe, folder: Path, system: str) -> None:
    require_space(cache_folder(), SPACE_MIB, f"build {name}")
    started = time.monotonic()
    with fresh_folder(folder) as scratch:
        _go_build(name, recipe, scratch, system if recipe.of_host else "linux")
        for link in recipe.links:
            (scratch / link).symlink_to(name)
        if recipe.files:
            sources = _module_folder(recipe.module, GO_FOLDER / recipe.folder)
            for file in recipe.files:
                shutil.copyfile(sources / file, scratch / Path(file).name)
    _say(f"built {name} {recipe.version} in {elapsed(time.monotonic() - started)}")


def _go_build(name: str, recipe: Recipe, scratch: Path, system: str) -> None:
    log = cache_folder() / "logs" / f"build-{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    settings = {"CGO_ENABLED": "0", "GOWORK": "off", "GOFLAGS": "-mod=readonly", "GOOS": system}
    module = GO_FOLDER / recipe.folder
    build = ("build", *recipe.flags(), "-o", str(scratch / name), recipe.package)
    command = [*go_command(module, settings), *build]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=module,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            code = _wait_reporting(process, f"building {name} {recipe.version}")
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
    if code:
        raise _build_failure(name, log)


def _wait_reporting(process: subprocess.Popen[bytes], purpose: str) -> int:
    started = time.monotonic()
    _say(f"{purpose} …")
    while True:
        try:
            return process.wait(timeout=REPORT_SECONDS)
        except subprocess.TimeoutExpired:
            _say(f"{purpose} … {elapsed(time.monotonic() - started)}")


def _build_failure(name: str, log: Path) -> Exception:
    text = log.read_text(errors="replace")
    if NO_SPACE in text:
        return disk_full(log.parent, f"build {name}")
    last = "\n".join(text.splitlines()[-15:])
    return BuildError(f"building {name} failed; {log} has all of this:\n{last}")


def elapsed(seconds: float) -> str:
    """Return a duration for people: `45 s`, `6 min 45 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
