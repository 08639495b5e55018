"""Kubeflow Trainer and JobSet as a process of this machine, with their definitions and webhooks, and KubeRay's."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import yaml

from cluster.builds import module_folder, program
from cluster.certificates import Authority
from cluster.definitions import wait_until_established
from tests.support.failures.replicas import apply
from tests.support.processes.running import free_port, start, stop
from tests.support.queues.webhooks import addressed, answers
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cluster.controlplane import ControlPlane

Body = dict[str, Any]

TRAINER: Final = "github.com/kubeflow/trainer/v2"
JOBSET: Final = "sigs.k8s.io/jobset"
KUBERAY: Final = "github.com/ray-project/kuberay/ray-operator"
OF_PODS: Final = "v1-pod"
"""Part of the paths of JobSet's webhooks for exclusive placement, which is not used."""


@contextmanager
def trainer(plane: ControlPlane, folder: Path) -> Iterator[None]:
    """Yield Trainer for the length of a block, with its runtime for PyTorch."""
    manifests = module_folder(TRAINER) / "manifests/base"
    jobset = module_folder(JOBSET, requiring="trainer") / "config/components"
    rayjobs = module_folder(KUBERAY) / "config/crd/bases/ray.io_rayjobs.yaml"
    bases = [manifests / "crds", jobset / "crd/bases"]
    paths = [*(path for base in bases for path in sorted(base.glob("*_*.yaml"))), rayjobs]
    definitions = [body for path in paths for body in _documents(path)]
    apply(plane, *definitions)
    wait_until_established(
        plane.kubectl, *(f"crd/{definition['metadata']['name']}" for definition in definitions)
    )
    authority = Authority(folder)
    authority.ensure()
    pair = authority.server("tls", ["127.0.0.1"])
    port, probes = free_port(), free_port()
    command = [
        str(program("trainer")),
        f"--webhook-port={port}",
        f"--webhook-certificates={pair.certificate.parent}",
        f"--health-probe-bind-address=127.0.0.1:{probes}",
    ]
    environment = {"KUBECONFIG": str(plane.kubeconfig_for("trainer", ("system:masters",)))}
    log = folder / "trainer.log"
    process = start(command, log=log, env=environment)
    try:
        ready = partial(answers, f"http://127.0.0.1:{probes}/readyz")
        eventually(ready, seconds=90, what="Trainer ready")
        bundle = authority.certificate.read_bytes()
        apply(plane, *_webhooks(manifests / "webhook/manifests.yaml", "trainer", port, bundle))
        apply(plane, *_webhooks(jobset / "webhook/manifests.yaml", "jobset", port, bundle))
        apply(plane, _without_retries(manifests / "runtimes/torch_distributed.yaml"))
        yield
    except BaseException:
        print("Trainer, last lines:", *log.read_text().splitlines()[-30:], sep="\n")
        raise
    finally:
        stop(process)


def _documents(path: Path) -> Iterator[Body]:
    yield from (one for one in yaml.load_all(path.read_text(), yaml.CSafeLoader) if one)


def _without_retries(path: Path) -> Body:
    (runtime,) = _documents(path)
    for job in runtime["spec"]["template"]["spec"]["replicatedJobs"]:
        job["template"]["spec"]["backoffLimit"] = 0
    return runtime


def _webhooks(path: Path, name: str, port: int, authority: bytes) -> Iterator[Body]:
    """Yield the configurations of a file, with the address of the process in each webhook."""
    for body in _documents(path):
        kept = []
        for webhook in body["webhooks"]:
            place = webhook["clientConfig"]["service"]["path"]
            if OF_PODS not in place:
                kept.append(webhook | {"clientConfig": addressed(port, place, authority)})
        yield body | {"metadata": {"name": f"{name}-{body['metadata']['name']}"}, "webhooks": kept}
