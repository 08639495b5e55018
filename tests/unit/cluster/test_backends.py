"""Which backend is chosen, and the command lines that kind is driven with."""

from __future__ import annotations

import io
import json
import re
import stat
import tomllib
from pathlib import Path

import pytest
import yaml

from cluster.addons import Addresses, Options
from cluster.addons.addresses import GATEWAY_PORT, PROMETHEUS_PORT, REGISTRY_PORT
from cluster.addons.gateway import gateway
from cluster.addons.prometheus import prometheus
from cluster.addons.registry import registry
from cluster.backend_choice import choose_backend, fitting_backend
from cluster.cli import main
from cluster.errors import ClusterError, MissingPrerequisiteError
from cluster.identity import CHECKOUT, Identity
from cluster.images.description import Debian
from cluster.images.layers import _bootstrap
from cluster.kind import CONFIGURATION, KindCluster
from cluster.local import LocalNode
from cluster.prerequisites import missing_packages, require_linux_root, require_packages
from cluster.toolchain import parse_go_version
from cluster.versions import versions
from demo.bentos import Bento
from demo.products import Model, fitted
from demo.samples import SAMPLES
from demo.setup import Images, chart_values

RECORDER = """\
#!/bin/sh
echo "$(basename "$0") $*" >> "{log}"
case "$(basename "$0") $*" in
{answers}
esac
"""


class Machine:
    """Programs on PATH that write down how they were called."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "calls"

    def install(self, name: str, **answers: str) -> None:
        lines = "\n".join(f'  "{name} {call}"*) {body} ;;' for call, body in answers.items())
        path = self.folder / name
        path.write_text(RECORDER.format(log=self.log, answers=lines))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def calls(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def machine(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("SLUICEGATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SLUICEGATE_CLUSTER", "mine")
    monkeypatch.delenv("SLUICEGATE_BACKEND", raising=False)
    return Machine(folder)


def test_kind_is_chosen_if_a_container_engine_responds(machine):
    machine.install("docker")

    assert fitting_backend() == "kind"
    assert isinstance(choose_backend(identity=Identity("mine")), KindCluster)


def test_a_docker_client_without_an_engine_is_not_enough(machine):
    machine.install("docker", version="exit 1")

    assert fitting_backend() == "local"
    assert isinstance(choose_backend(identity=Identity("mine")), LocalNode)
    with pytest.raises(MissingPrerequisiteError, match="SLUICEGATE_BACKEND=local"):
        KindCluster(Identity("mine")).up()


def test_a_machine_without_docker_uses_the_local_node(machine, monkeypatch):
    monkeypatch.setattr("cluster.commands.SYSTEM_PATH", "")
    monkeypatch.setenv("PATH", str(machine.folder))

    assert fitting_backend() == "local"
    with pytest.raises(MissingPrerequisiteError, match="no Docker engine answers"):
        KindCluster(Identity("mine")).up()


def test_the_choice_of_the_backend_can_be_overridden(machine, monkeypatch):
    machine.install("docker")
    monkeypatch.setenv("SLUICEGATE_BACKEND", "local")

    assert choose_backend(identity=Identity("mine")).kind == "local"
    assert choose_backend("kind", Identity("mine")).kind == "kind"


def test_an_unknown_backend_is_refused(machine, monkeypatch):
    monkeypatch.setenv("SLUICEGATE_BACKEND", "minikube")

    with pytest.raises(ClusterError, match=r"'minikube'.*'kind' or 'local'"):
        choose_backend()


KIND = {"version": f"echo kind {versions().modules['sigs.k8s.io/kind']} go1.26 linux/amd64"}


@pytest.fixture
def kind(machine):
    """Return kind and an engine whose node is Ready, with a kubectl of its own."""
    machine.install("docker")
    machine.install("kind", **KIND)
    machine.install("kubectl", **{"--kubeconfig": 'case "$*" in *"get node"*) printf True ;; esac'})
    cluster = KindCluster(Identity("mine"))
    cluster.state.mkdir(parents=True)
    (cluster.state / "kubectl").symlink_to(machine.folder / "kubectl")
    cluster.kubeconfig.write_text("kind writes it")
    return cluster


def test_kind_creates_the_cluster_from_the_configuration_with_its_own_kubeconfig(machine, kind):
    assert kind.up()

    create = next(call for call in machine.calls() if call.startswith("kind create"))
    assert create == (
        f"kind create cluster --config={CONFIGURATION} --image={versions().kind_image} "
        f"--kubeconfig={kind.kubeconfig} --name mine"
    )
    assert kind.registry_hosts.is_dir()
    assert not kind.up()


def test_the_node_image_of_kind_can_be_chosen(machine, kind, monkeypatch):
    monkeypatch.setenv("SLUICEGATE_NODE_IMAGE", "own/node:1")

    kind.up()

    assert any(f"--config={CONFIGURATION} --image=own/node:1" in call for call in machine.calls())


def test_a_cluster_with_another_node_image_is_neither_used_nor_removed(machine, kind, monkeypatch):
    kind.up()
    monkeypatch.setenv("SLUICEGATE_NODE_IMAGE", "own/node:2")

    with pytest.raises(ClusterError, match=r"own/node:2 is wanted.*cluster down.*_IMAGE=kindest/"):
        kind.up()

    assert not any(call.startswith("kind delete") for call in machine.calls())


def test_the_node_image_of_kind_is_pulled_before_its_timeout_starts_unless_present(machine, kind):
    machine.install("docker", **{"image inspect": "exit 1"})

    kind.up()

    calls = machine.calls()
    pull = calls.index(f"docker pull {versions().kind_image}")
    assert pull < next(at for at, call in enumerate(calls) if call.startswith("kind create"))


def test_a_missing_node_image_is_reported_with_the_ways_out(machine, kind):
    machine.install("docker", **{"image inspect": "exit 1", "pull": "exit 1"})

    with pytest.raises(
        ClusterError, match=r"SLUICEGATE_NODE_IMAGE.*SLUICEGATE_BACKEND=local"
    ) as told:
        kind.up()

    assert versions().kind_image in str(told.value)


def test_the_output_of_kind_is_shown_and_logged_and_the_error_has_its_last_lines(
    machine, kind, capsys
):
    body = "seq 1 200 >&2; echo kubeadm gave up >&2; exit 1"
    machine.install("kind", **{"create cluster": body}, **KIND)

    with pytest.raises(ClusterError) as told:
        kind.up()

    log = kind.state / "create.log"
    assert capsys.readouterr().err.count("\n") == 201
    assert log.read_text().startswith("1\n2\n")
    assert str(log) in str(told.value)
    assert str(told.value).endswith("\n199\n200\nkubeadm gave up")
    assert "\n100\n" not in str(told.value)


@pytest.mark.parametrize("endpoint", ["ssh://me@build.example", "tcp://192.0.2.7:2375"])
def test_a_remote_container_engine_is_refused_at_once(machine, kind, endpoint):
    machine.install("docker", context=f'echo "{endpoint}"')

    refused = re.escape(f"another machine ({endpoint})") + ".*SLUICEGATE_BACKEND=local"
    with pytest.raises(MissingPrerequisiteError, match=refused):
        kind.up()

    assert not any(call.startswith("kind create") for call in machine.calls())


@pytest.mark.parametrize(
    "endpoint",
    [
        "unix:///var/run/docker.sock",
        "unix:///run/user/1000/docker.sock",  # rootless
        "unix:///Users/me/.docker/run/docker.sock",  # Docker Desktop on macOS
        "unix:///home/me/.docker/desktop/docker.sock",
        "unix:///Users/me/.colima/default/docker.sock",
    ],
)
def test_a_container_engine_of_this_machine_is_accepted_even_with_a_virtual_machine(
    machine, kind, endpoint
):
    machine.install("docker", context=f'echo "{endpoint}"')

    assert kind.up()


@pytest.mark.parametrize(
    ("system", "machine_s", "is_taken_from_path"),
    [("linux", "v1.37.2", False), ("darwin", "v1.37.2", True), ("darwin", "v1.36.0", True)],
)
def test_the_kubectl_of_the_node_is_used_on_linux_and_that_of_the_host_elsewhere(
    machine, system, machine_s, is_taken_from_path
):
    machine.install("docker", cp='echo "$2" > "$3"')
    machine.install("kubectl", **{"version --client": f"echo Client Version: {machine_s}"})
    cluster = KindCluster(Identity("mine"), system)

    kubectl = cluster.kubectl

    assert (kubectl == machine.folder / "kubectl") is is_taken_from_path
    if not is_taken_from_path:
        assert kubectl.read_text() == "mine-control-plane:/usr/bin/kubectl\n"
        assert list(kubectl.parent.iterdir()) == [kubectl]


def test_an_incompletely_copied_kubectl_is_not_used(machine):
    machine.install("docker", cp='echo half > "$3"; exit 1')
    cluster = KindCluster(Identity("mine"), "linux")
    with pytest.raises(ClusterError):
        _ = cluster.kubectl

    machine.install("docker", cp='echo whole > "$3"')

    assert cluster.kubectl.read_text() == "whole\n"


def test_a_kind_cluster_whose_creation_was_interrupted_is_deleted_and_created(machine, kind):
    machine.install("kind", get="echo mine", **KIND)

    kind.up()

    calls = [call.split()[1] for call in machine.calls() if call.startswith("kind ")]
    assert [call for call in calls if call != "version"] == ["get", "delete", "create"]


def test_a_stopped_kind_node_is_started_and_awaited(machine, kind):
    kind.up()
    started = f"{machine.folder}/started"
    machine.install("docker", start=f"touch {started}")
    # The API server listens a while after the container runs.
    refused = f'{{ test -e {started} && touch "$0.ready"; echo refused >&2; exit 1; }}'
    machine.install(
        "kubectl", **{"--kubeconfig": f'test -e "$0.ready" && printf True || {refused}'}
    )
    machine.install("kind", get="echo mine", **KIND)

    assert kind.up()

    assert "docker start mine-control-plane" in machine.calls()
    assert sum(call.startswith("kind create") for call in machine.calls()) == 1


def test_a_start_that_waited_for_another_start_of_kind_creates_no_cluster(machine, kind):
    kind.up()
    before = len(machine.calls())
    # Not Ready when first asked, Ready once the lock is had.
    late = 'test -e "$0.asked" && printf True || { touch "$0.asked"; printf False; }'
    machine.install("kubectl", **{"--kubeconfig": late})

    assert not kind.up()

    assert all(call.startswith("kubectl ") for call in machine.calls()[before:])


def test_two_cpus_are_enough_for_kind_s_own_components_and_the_demonstration(machine, kind):
    machine.install(
        "kubectl",
        **{"--kubeconfig": 'case "$*" in *"get node"*) printf True ;; *get*) echo there ;; esac'},
    )
    kind.up()

    cpu = {
        json.loads(file.read_text())["spec"]["containers"][0]["name"]: json.loads(file.read_text())[
            "spec"
        ]["containers"][0]["resources"]["requests"]["cpu"]
        for file in (kind.state / "kubeadm-patches").glob("*+strategic.json")
    }
    asked = sum(int(one.removesuffix("m")) for one in cpu.values())
    system = [call for call in machine.calls() if "set resources" in call]
    asked += sum(int(call.rpartition("cpu=")[2].removesuffix("m")) for call in system)
    assert set(cpu) == {
        "etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler",
    }  # fmt: skip
    assert any(
        "scale deployment/coredns" in call and "--replicas=1" in call for call in machine.calls()
    )
    assert asked + requested_by_addons() + requested_by_demonstration() <= 2000


IMAGE = f"r@sha256:{'0' * 64}"
WHERE = Addresses("127.0.0.1:5", "http://127.0.0.1:8", "http://127.0.0.1:9")


def millicores(resources) -> int:
    cpu = str(resources["requests"]["cpu"])
    return int(cpu.removesuffix("m")) if cpu.endswith("m") else 1000 * int(cpu)


def requested_by_addons() -> int:
    """Return the CPU that the manifests of all add-ons request, in millicores."""
    asked = 0
    for addon in (registry, gateway, prometheus):
        objects = addon(WHERE, Options(), IMAGE).objects
        workloads = [obj for obj in objects if obj["kind"] == "Deployment"]
        assert workloads, addon
        for workload in workloads:
            pod = workload["spec"]["template"]["spec"]
            asked += sum(millicores(part["resources"]) for part in pod["containers"])
    return asked


def requested_by_demonstration() -> int:
    """Return the operator's replicas; both products with a canary each, and one training."""
    values = yaml.safe_load((CHECKOUT / "charts" / "sluicegate" / "values.yaml").read_text())
    ours = chart_values(Images(IMAGE, IMAGE), WHERE)
    asked = (values | ours)["replicas"] * millicores(ours["resources"])
    model = Model("r@sha256:0", Bento(Path("/nowhere"), "v1", {}), "r@sha256:0")
    trainings = []
    for sample in SAMPLES:
        spec = fitted(sample.file(), model, repository="r")["spec"]
        asked += 2 * spec["serving"]["replicas"] * millicores(spec["serving"]["resources"])
        trainings.append(millicores(spec["retraining"]["resources"]))
    return asked + max(trainings)


def test_the_kubelet_of_kind_starts_on_a_host_with_cgroup_v1():
    (kubelet,) = (
        patch
        for text in yaml.safe_load(CONFIGURATION.read_text())["kubeadmConfigPatches"]
        if (patch := yaml.safe_load(text))["kind"] == "KubeletConfiguration"
    )
    assert kubelet["failCgroupV1"] is False


def test_kind_loads_an_archive_once_for_each_created_node(machine, kind, tmp_path):
    archive = tmp_path / "image.tar"
    archive.write_text("layers")
    kind.up()

    for _ in range(2):
        kind.load_image(archive)

    load = f"kind load image-archive {archive} --name mine"
    assert machine.calls().count(load) == 1

    (kind.state / "created").unlink()  # by hand: kind delete cluster
    kind.up()
    kind.load_image(archive)
    assert machine.calls().count(load) == 2


def test_a_published_image_is_pulled_by_digest_into_a_node_that_lacks_it(machine, kind):
    published = versions().published["prometheus"]
    name = f"docker.io/prom/prometheus@{published.partition('@')[2]}"
    there = f"{machine.folder}/pulled"
    images = "exec mine-control-plane ctr --namespace=k8s.io images"
    machine.install(
        "docker",
        **{
            f"{images} ls": f"echo REF TYPE DIGEST; test ! -e {there} || echo {name} index sha256:0",
            f"{images} pull": f"touch {there}",
        },
    )

    assert [kind.provide_image("prometheus") for _ in range(2)] == [name, name]

    assert machine.calls().count(f"docker {images} pull {name}") == 1


def test_a_published_image_that_cannot_be_pulled_is_reported_in_one_sentence(machine, kind):
    body = "echo resolving; echo no such host >&2; exit 1"
    machine.install(
        "docker", **{"exec mine-control-plane ctr --namespace=k8s.io images pull": body}
    )

    with pytest.raises(
        ClusterError, match=r"can't pull docker.io/library/traefik:v3.*no such host; try again, or"
    ):
        kind.provide_image("traefik")


def test_an_image_of_the_dockerfile_is_built_and_named_by_its_digest_on_the_node(machine, kind):
    built = "sluicegate.local/operator:0123456789ab"
    there = f"{machine.folder}/loaded"
    images = "exec mine-control-plane ctr --namespace=k8s.io images"
    machine.install(
        "docker",
        **{
            "image inspect": "echo sha256:0123456789abcdef",
            f"{images} ls": f"echo REF TYPE DIGEST; test ! -e {there} || echo {built} index sha256:12",
        },
    )
    machine.install("kind", **{"load docker-image": f"touch {there}"}, **KIND)

    for _ in range(2):
        assert kind.provide_image("operator") == "sluicegate.local/operator@sha256:12"

    calls = machine.calls()
    assert calls.count(f"kind load docker-image {built} --name mine") == 1
    assert f"docker {images} tag --force {built} sluicegate.local/operator@sha256:12" in calls
    assert any(call.startswith("docker build --target=operator ") for call in calls)


@pytest.mark.parametrize("backend", ["kind", "local"])
def test_a_user_without_permission_for_the_container_engine_gets_the_command_that_grants_it(
    machine, monkeypatch, backend
):
    said = "permission denied while trying to connect to the Docker daemon socket"
    machine.install("docker", version=f"echo {said} >&2; exit 1")
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    with pytest.raises(MissingPrerequisiteError, match="usermod --append --groups docker"):
        choose_backend(backend, Identity("mine")).up()


def test_kind_deletes_the_cluster_by_name(machine, kind):
    kind.down()

    assert f"kind delete cluster --kubeconfig={kind.kubeconfig} --name mine" in machine.calls()
    assert not kind.state.exists()


def test_a_port_of_the_kind_node_is_reached_at_the_forwarded_address(machine):
    machine.install("docker", **{"port mine-control-plane 30500/tcp": "echo 127.0.0.1:41234"})

    assert KindCluster(Identity("mine")).reached_at(30500) == "127.0.0.1:41234"


def test_a_node_without_a_published_port_is_reported_with_the_commands_that_recreate_it(machine):
    machine.install("docker", port="echo no public port >&2; exit 1")

    with pytest.raises(ClusterError, match=r"no public port.*cluster up.*cluster down"):
        KindCluster(Identity("mine")).reached_at(30500)


def test_the_node_resolves_the_registry_by_its_host_name_and_its_pod_name(machine, kind):
    registry(WHERE, Options(), IMAGE).prepare(kind)

    for folder in ("127.0.0.1_5_", "registry.registry.svc_5000_"):
        hosts = tomllib.loads((kind.registry_hosts / folder / "hosts.toml").read_text())
        assert list(hosts["host"]) == ["http://127.0.0.1:30500"]


def test_a_repository_has_different_names_on_the_host_and_in_pods():
    assert WHERE.local_name(f"{WHERE.registry_in_pods}/shop/iris") == "127.0.0.1:5/shop/iris"
    assert WHERE.local_name("registry.example/shop/iris") == "registry.example/shop/iris"


def test_logs_of_a_kind_node_and_its_units_are_printed(machine, kind, capfd):
    machine.install(
        "docker",
        **{"logs mine": "echo from the console", "exec mine-control-plane journalctl": "echo $*"},
    )

    assert main(["--backend", "kind", "logs", "mine-control-plane"]) == 0
    assert capfd.readouterr().out == "from the console\n"
    assert main(["--backend", "kind", "logs", "--follow", "kubelet"]) == 0
    assert capfd.readouterr().out.endswith("--unit=kubelet --follow\n")
    assert main(["--backend", "kind", "logs", "etcd"]) == 1
    assert "there are mine-control-plane, containerd, kubelet" in capfd.readouterr().err


def test_a_shell_on_the_kind_node_reads_commands_from_a_pipe(machine, kind, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("true"))

    assert main(["--backend", "kind", "shell"]) == 0

    assert machine.calls()[-1] == "docker exec --interactive mine-control-plane bash"


def test_two_checkouts_have_separate_kind_clusters():
    """Everything that a node takes of the host is its own: kind finds a free port where none is named."""
    (node,) = yaml.safe_load(CONFIGURATION.read_text())["nodes"]

    assert not any("hostPort" in port for port in node["extraPortMappings"])
    assert not any(mount["hostPath"].startswith("/") for mount in node["extraMounts"])


def test_the_kind_node_has_a_loopback_port_for_each_add_on_used_by_the_host():
    (node,) = yaml.safe_load(CONFIGURATION.read_text())["nodes"]
    published = {port["containerPort"] for port in node["extraPortMappings"]}

    assert published == {REGISTRY_PORT, GATEWAY_PORT, PROMETHEUS_PORT}
    assert {port["listenAddress"] for port in node["extraPortMappings"]} == {"127.0.0.1"}


def test_on_macos_the_local_node_is_refused_and_kind_suggested(machine):
    with pytest.raises(MissingPrerequisiteError, match=r"Linux, this is darwin.*engine.*in kind"):
        require_linux_root("darwin")


def test_on_macos_image_builds_that_need_debian_suggest_docker_build():
    with pytest.raises(MissingPrerequisiteError, match=r"mmdebstrap.*this is darwin.*docker build"):
        require_packages(["mmdebstrap"], "darwin")


def test_all_missing_programs_are_named_at_once():
    programs = {"no-such-one": "one", "no-such-two": "two", "sh": "dash"}

    assert missing_packages(programs) == ["one", "two"]


def test_a_missing_program_that_cannot_be_installed_is_reported_with_the_command(monkeypatch):
    monkeypatch.setattr("cluster.prerequisites.is_debian", lambda: False)

    with pytest.raises(MissingPrerequisiteError, match="apt-get install -y runc conntrack"):
        require_packages(["runc", "conntrack"])


def test_a_missing_image_builder_is_reported_before_the_build(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("cluster.prerequisites.is_debian", lambda: False)
    desired = Debian(suite="bookworm", packages=("python3",))

    with pytest.raises(MissingPrerequisiteError, match="apt-get install -y mmdebstrap"):
        _bootstrap(desired, io.BytesIO())


@pytest.mark.parametrize(
    ("text", "version"), [("go1.26.8", (1, 26)), ("1.26", (1, 26)), ("go1.9rc1", (1, 9))]
)
def test_go_versions_are_compared_as_numbers(text, version):
    assert parse_go_version(text) == version


def test_status_of_a_cluster_that_does_not_run_is_not_an_error(machine, capsys):
    assert main(["--backend", "local", "status"]) == 1
    assert "not ready" in capsys.readouterr().out


def test_a_command_that_needs_a_running_cluster_reports_how_to_start_it(machine, capsys):
    assert main(["--backend", "local", "logs", "etcd"]) == 1
    assert "the cluster doesn't run" in capsys.readouterr().err


def test_the_kubeconfig_command_prints_only_the_path(machine, capsys, tmp_path):
    assert main(["--backend", "local", "kubeconfig"]) == 0
    assert capsys.readouterr().out.strip().endswith("/kubeconfig")


def test_the_help_of_the_cluster_tool_lists_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])

    said = capsys.readouterr().out
    for command in [
        "up",
        "down",
        "status",
        "logs",
        "load",
        "image",
        "shell",
        "kubeconfig",
        "build",
    ]:
        assert f"\n    {command}" in said
