"""A real oauth2-proxy in front of the portfolio page, with a real OpenID Connect provider for its people."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import requests
import yaml

from cluster.builds import program
from tests.support.pages.steps import File, commands, steps
from tests.support.processes.running import free_port, running
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGE = Path(__file__).resolve().parents[3] / "docs/web.md"
COOKIE_SECRET = "0123456789abcdef"


@contextmanager
def login_proxy(
    upstream: str, secret: Path, people: Sequence[tuple[str, Sequence[str]]], scratch: Path
) -> Iterator[str]:
    """Yield the address of the proxy, by which people log in: each login is that of the next of them.

    Its configuration and its command are those of the documentation, with addresses and files of the test.

    Parameters
    ----------
    people : their addresses of mail, and their groups.
    """
    arguments = [
        json.dumps({"Subject": f"subject-{number}", "Email": mail, "Groups": list(groups)})
        for number, (mail, groups) in enumerate(people)
    ]
    settings_file = scratch / "provider"
    with running([str(program("mockoidc")), *arguments], log=settings_file):
        client = eventually(
            lambda: json.loads(settings_file.read_text() or "null"), what="the provider"
        )
        assert client is not None
        (config,) = [
            step.content
            for step in steps(PAGE)
            if isinstance(step, File) and step.name == "oauth2-proxy.yaml"
        ]
        address = f"127.0.0.1:{free_port()}"
        config["server"]["bindAddress"] = address
        (provider,) = config["providers"]
        for name, text in (("client", client["clientSecret"]), ("cookie", COOKIE_SECRET)):
            (scratch / name).write_text(text)
        provider |= {"clientID": client["clientID"], "clientSecretFile": str(scratch / "client")}
        provider["oidcConfig"]["issuerURL"] = client["issuer"]
        config["injectRequestHeaders"][-1]["values"][0]["secretSource"]["fromFile"] = str(secret)
        config["upstreamConfig"]["upstreams"][0]["uri"] = upstream
        file = scratch / "oauth2-proxy.yaml"
        file.write_text(yaml.safe_dump(config))
        (documented,) = [
            command.words for command in commands(PAGE) if command.words[0] == "oauth2-proxy"
        ]
        # What is given again is the test's own: its files, and HTTP on loopback.
        command = [
            str(program(documented[0])), *documented[1:], f"--alpha-config={file}",
            f"--cookie-secret-file={scratch / 'cookie'}", "--cookie-secure=false",
            f"--redirect-url=http://{address}/oauth2/callback", "--skip-provider-button",
        ]  # fmt: skip
        log = scratch / "proxy.log"
        with running(command, log=log) as process:

            def ready() -> bool:
                assert process.poll() is None, log.read_text()
                try:
                    return requests.get(f"http://{address}/ping", timeout=5).ok
                except requests.ConnectionError:
                    return False

            eventually(ready, what="oauth2-proxy")
            yield f"http://{address}"
