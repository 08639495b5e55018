"""The operator, the messenger and the page as real processes that serve HTTPS."""

from __future__ import annotations

import os
import signal
import sys
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sluicegate.__main__ import main
from sluicegate.settings import InvalidSettings, parse_settings
from tests.support.apiserver.kubeconfigs import kubeconfig_of
from tests.support.processes.running import free_port, start, stop
from tests.support.processes.tls_secret import ADDRESS, TlsSecret
from tests.support.waiting import eventually

if TYPE_CHECKING:
    import ssl

NOTIFY = """
sinks: {bus: {kind: CloudEvents, url: "http://127.0.0.1:1"}}
routes: [{to: [bus]}]
"""


def status(port: int, context: ssl.SSLContext) -> int:
    """Return the status of the probe; 0 without an answer over TLS."""
    url = f"https://{ADDRESS}:{port}/healthz"
    try:
        with urllib.request.urlopen(url, timeout=10, context=context) as answer:
            return int(answer.status)
    except OSError:
        return 0


@pytest.fixture
def secret(tmp_path) -> TlsSecret:
    return TlsSecret(tmp_path / "tls")


def command_of(
    program: str, folder: Path, port: int, secret: TlsSecret
) -> tuple[list[str], dict[str, str]]:
    """Return arguments and variables of a program that serves HTTPS at a port."""
    files = (str(secret.certificate_file), str(secret.private_key_file))
    if program == "web":
        options = ["--auth=Anonymous", "--user=wall", f"--address={ADDRESS}", f"--port={port}"]
        return [
            "web",
            *options,
            f"--tls-cert-file={files[0]}",
            f"--tls-private-key-file={files[1]}",
        ], {}
    config = folder / "notify.yaml"
    config.write_text(NOTIFY)
    arguments = ["run"] if program == "run" else ["notify", f"--config={config}"]
    return arguments, {
        "SLUICEGATE_METRICS_PORT": str(port),
        "SLUICEGATE_TLS_CERT_FILE": files[0],
        "SLUICEGATE_TLS_PRIVATE_KEY_FILE": files[1],
    }


@pytest.mark.slow
@pytest.mark.parametrize("program", ["run", "notify", "web"])
def test_each_program_serves_https_with_the_files_of_a_mounted_secret(program, tmp_path, secret):
    kubeconfig = kubeconfig_of(tmp_path, f"https://{ADDRESS}:{free_port()}", token="t")
    port = free_port()
    arguments, variables = command_of(program, tmp_path, port, secret)
    executable = Path(sys.executable).with_name("sluicegate")
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), **variables}
    process = start([str(executable), *arguments], log=tmp_path / "log", env=environment)
    try:
        context = secret.client_context()
        eventually(lambda: status(port, context) == 200, seconds=60, what="it serves HTTPS")
        secret.renew()
        assert status(port, secret.client_context()) == 200
        assert status(port, context) == 0
    finally:
        stop(process, signal.SIGKILL)


@pytest.mark.parametrize("program", ["run", "notify", "web"])
def test_a_program_whose_certificate_is_unreadable_ends_and_names_the_file(
    program, tmp_path, secret, monkeypatch, capsys
):
    secret.write({"tls.crt": "text", "tls.key": "text"})
    kubeconfig = kubeconfig_of(tmp_path, f"https://{ADDRESS}:{free_port()}", token="t")
    arguments, variables = command_of(program, tmp_path, free_port(), secret)
    for name, value in {"KUBECONFIG": str(kubeconfig), **variables}.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 2
    assert (
        f"{secret.certificate_file}: can't be used (there is no certificate in it): give"
        in capsys.readouterr().err
    )


def test_a_certificate_without_its_key_is_refused(capsys):
    with pytest.raises(InvalidSettings) as error:
        parse_settings({"SLUICEGATE_TLS_CERT_FILE": "/a"})
    assert "SLUICEGATE_TLS_PRIVATE_KEY_FILE: is not set, and TLS_CERT_FILE is: set both" in str(
        error.value
    )
    with pytest.raises(InvalidSettings) as error:
        parse_settings({"SLUICEGATE_TLS_PRIVATE_KEY_FILE": "/a"})
    assert "SLUICEGATE_TLS_CERT_FILE: is not set, and TLS_PRIVATE_KEY_FILE is: set both" in str(
        error.value
    )
    for given, missing in (
        ("--tls-cert-file", "--tls-private-key-file"),
        ("--tls-private-key-file", "--tls-cert-file"),
    ):
        assert main(["web", given, "/a"]) == 2
        assert f"{missing}: name both files for HTTPS" in capsys.readouterr().err
