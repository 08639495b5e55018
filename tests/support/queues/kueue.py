"""Kueue as a process of this machine, with its definitions and webhooks, and queues of its kinds."""

from __future__ import annotations

import base64
import json
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cluster.builds import module_folder, program
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

NAMESPACE: Final = "kueue-system"
SERVICE: Final = "kueue-webhook-service"
AUTHORITY: Final = "kueue-ca"
SECRET: Final = "kueue-webhook-server-cert"
API: Final = "kueue.x-k8s.io/v1beta2"
ABOUT_TRAININGS: Final = ("batch-v1-job", "kueue-x-k8s-io")
"""Parts of the paths of webhooks that are installed: others are about Jobs of kinds that aren't there."""


@contextmanager
def kueue(plane: ControlPlane, folder: Path) -> Iterator[None]:
    """Yield Kueue for the length of a block, admitting Jobs of all namespaces that name a queue.

    Without a node the API server reaches no Service, so each webhook has the address of the process.
    """
    port, health = free_port(), free_port()
    authority = _certified(plane, folder)
    source = module_folder("sigs.k8s.io/kueue") / "config" / "components"
    definitions = list(_definitions(source, port, authority))
    apply(plane, *definitions)
    wait_until_established(
        plane.kubectl, *(f"crd/{definition['metadata']['name']}" for definition in definitions)
    )
    apply(plane, *_webhooks(source, port, authority))
    configuration = folder / "kueue.yaml"
    configuration.write_text(json.dumps(_configuration(folder, port, health)))
    environment = {"KUBECONFIG": str(plane.kubeconfig_for("kueue", ("system:masters",)))}
    log = folder / "kueue.log"
    process = start([str(program("kueue")), f"--config={configuration}"], log=log, env=environment)
    try:
        ready = partial(answers, f"http://127.0.0.1:{health}/readyz")
        eventually(ready, seconds=90, what="Kueue ready")
        yield
    except BaseException:
        print("Kueue, last lines:", *log.read_text().splitlines()[-30:], sep="\n")
        raise
    finally:
        stop(process)


def queue(namespace: str, name: str, *, cpu: str) -> list[Body]:
    """Return a LocalQueue with so much CPU, in which a Job of a higher priority pre-empts others."""
    shared = f"{namespace}-{name}"
    quota = {"name": "cpu", "nominalQuota": cpu}
    resources = {"coveredResources": ["cpu"], "flavors": [{"name": shared, "resources": [quota]}]}
    return [
        {"apiVersion": API, "kind": "ResourceFlavor", "metadata": {"name": shared}},
        {
            "apiVersion": API,
            "kind": "ClusterQueue",
            "metadata": {"name": shared},
            "spec": {
                "namespaceSelector": {},
                "resourceGroups": [resources],
                "preemption": {"withinClusterQueue": "LowerPriority"},
            },
        },
        {
            "apiVersion": API,
            "kind": "LocalQueue",
            "metadata": {"namespace": namespace, "name": name},
            "spec": {"clusterQueue": shared},
        },
        {
            "apiVersion": API,
            "kind": "WorkloadPriorityClass",
            "metadata": {"name": "urgent"},
            "value": 1000,
        },
    ]


def other_job(namespace: str, name: str, *, queue: str, priority: str = "") -> Body:
    """Return a Job of another team that takes one CPU of a queue, and doesn't end."""
    labels = {"kueue.x-k8s.io/queue-name": queue}
    if priority:
        labels["kueue.x-k8s.io/priority-class"] = priority
    container = {
        "name": "main",
        "image": "registry.example/other",
        "resources": {"requests": {"cpu": "1"}},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"namespace": namespace, "name": name, "labels": labels},
        "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}},
    }


def _certified(plane: ControlPlane, folder: Path) -> bytes:
    """Write the webhooks' certificate where Kueue reads it, and return that of its authority.

    Kueue makes others unless those of its Secret are valid, the authority's for a name of its own.
    """
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, AUTHORITY)])
    authority = _certificate(issuer, key, key, x509.DNSName(AUTHORITY), is_authority=True)
    server_key = ec.generate_private_key(ec.SECP256R1())
    names = (x509.DNSName(f"{SERVICE}.{NAMESPACE}.svc"), x509.IPAddress(ip_address("127.0.0.1")))
    server = _certificate(issuer, key, server_key, *names)
    contents = {
        "ca.crt": authority,
        "ca.key": _private(key),
        "tls.crt": server,
        "tls.key": _private(server_key),
    }
    certificates = _certificates(folder)
    certificates.mkdir()
    for name, content in contents.items():
        (certificates / name).write_bytes(content)
    data = {name: base64.b64encode(content).decode() for name, content in contents.items()}
    meta = {"namespace": NAMESPACE, "name": SECRET}
    apply(plane, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    apply(plane, {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": data})
    return authority


def _certificate(
    issuer: x509.Name,
    issuer_key: rsa.RSAPrivateKey,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *names: x509.GeneralName,
    is_authority: bool = False,
) -> bytes:
    now = datetime.now(UTC)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, SERVICE)])
    constraints = x509.BasicConstraints(ca=is_authority, path_length=None)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(issuer if is_authority else subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(constraints, critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(usage, critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _private(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Return a key as PEM; Kueue reads that of an authority as PKCS #1 alone."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _certificates(folder: Path) -> Path:
    return folder / "webhook"


def _definitions(source: Path, port: int, authority: bytes) -> Iterator[Body]:
    """Yield the kinds of Kueue; those with two versions are converted by the process."""
    for path in sorted((source / "crd/bases").glob("*.yaml")):
        definition: Body = yaml.load(path.read_text(), yaml.CSafeLoader)
        plural = definition["spec"]["names"]["plural"]
        if (source / f"crd/patches/webhook_in_{plural}.yaml").exists():
            webhook = {
                "clientConfig": addressed(port, "/convert", authority),
                "conversionReviewVersions": ["v1"],
            }
            definition["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
        yield definition


def _webhooks(source: Path, port: int, authority: bytes) -> Iterator[Body]:
    """Yield the webhooks for Jobs and for the kinds of Kueue, under the names that Kueue requires."""
    text = (source / "webhook/manifests.yaml").read_text()
    for configuration in yaml.load_all(text, yaml.CSafeLoader):
        kept = []
        for webhook in configuration["webhooks"]:
            path = webhook["clientConfig"]["service"]["path"]
            if any(part in path for part in ABOUT_TRAININGS):
                kept.append(webhook | {"clientConfig": addressed(port, path, authority)})
        name = f"kueue-{configuration['metadata']['name']}"
        yield configuration | {"metadata": {"name": name}, "webhooks": kept}


def _configuration(folder: Path, port: int, health: int) -> Body:
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": NAMESPACE,
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": port, "certDir": str(_certificates(folder))},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {
            "enable": True,
            "webhookServiceName": SERVICE,
            "webhookSecretName": SECRET,
        },
        "integrations": {"frameworks": ["batch/job"]},
        "featureGates": {"VisibilityOnDemand": False},
    }
