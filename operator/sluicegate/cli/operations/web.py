"""`sluicegate web`: the portfolio page, on this machine or in the cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

from sluicegate.cli.inputs.access_options import add_access, selection
from sluicegate.errors import InvalidInput, MissingExtra, Problem, SluicegateError
from sluicegate.kube.client import KubeApi
from sluicegate.kube.connections import Connections
from sluicegate.kube.credentials import login_of
from sluicegate.kube.errors import Forbidden, KubeError, NotFound
from sluicegate.kube.kubeconfig import Selection, check_kubeconfig, read_access
from sluicegate.kube.requests import create_request, list_page
from sluicegate.kube.resources import DATA_PRODUCTS, SUBJECT_REVIEWS
from sluicegate.kube.transport import Transport
from sluicegate.runtime.logs import JsonFormatter, TextFormatter, configure_logging
from sluicegate.runtime.write_fence import OpenGate

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sluicegate.web.identity import ReaderLogin

AUTHS = ("Local", "Headers", "Token", "Anonymous")
AUDIENCE = "sluicegate-web"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--auth", choices=AUTHS, default="Local",
        help="who reads: Local, with your kubeconfig and on this machine only; Headers of an"
        " authenticating proxy; a bearer Token of the cluster; Anonymous, one configured user",
    )  # fmt: skip
    parser.add_argument(
        "--address", default="",
        help="address to listen on; 0.0.0.0 when left out, but 127.0.0.1 with Local",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=int, default=None, help="port; 8080, but a free one with Local"
    )
    parser.add_argument(
        "--namespace", "-n", action="append", default=[], metavar="NAMESPACE",
        help="namespace to read; can be repeated; all when left out",
    )  # fmt: skip
    parser.add_argument(
        "--signing", action="store_true",
        help="let readers sign reviews from the page, with Headers or Token: the account of this process"
        " impersonates them for that. With Local, you sign with your kubeconfig",
    )  # fmt: skip
    parser.add_argument(
        "--acting", action="store_true",
        help="let readers promote, abort, roll back, retrain and suspend from the page, with Headers or Token,"
        " in the same way. With Local, you act with your kubeconfig",
    )  # fmt: skip
    tls = parser.add_argument_group("HTTPS")
    tls.add_argument(
        "--tls-cert-file", type=Path, metavar="FILE",
        help="file with the certificate chain, in PEM; plain HTTP without it. A changed file is read again",
    )  # fmt: skip
    tls.add_argument(
        "--tls-private-key-file", type=Path, metavar="FILE",
        help="file with the private key of the certificate, in PEM and without a passphrase",
    )  # fmt: skip
    headers = parser.add_argument_group("Headers")
    headers.add_argument(
        "--proxy-cidr", action="append", default=[], metavar="CIDR",
        help="addresses that the proxy connects from; can be repeated",
    )  # fmt: skip
    headers.add_argument(
        "--proxy-secret-file", type=Path, metavar="FILE",
        help="file with what the proxy sends in the header X-Sluicegate-Secret",
    )  # fmt: skip
    headers.add_argument("--user-header", default="X-Forwarded-User", metavar="NAME")
    headers.add_argument("--groups-header", default="X-Forwarded-Groups", metavar="NAME")
    headers.add_argument(
        "--groups-separator", default=",", metavar="TEXT",
        help="between groups of one header; empty: each header is one group, commas included",
    )  # fmt: skip
    headers.add_argument(
        "--user-prefix", default="", help="as the API server's --oidc-username-prefix"
    )
    headers.add_argument(
        "--group-prefix", default="", help="as the API server's --oidc-groups-prefix"
    )
    headers.add_argument(
        "--login-time-header", default="", metavar="NAME",
        help="header with the time of the login: seconds since 1970, RFC 3339, or an ID token with auth_time",
    )  # fmt: skip
    recent = parser.add_argument_group("Headers and Token")
    recent.add_argument(
        "--max-login-minutes", type=int, default=0, metavar="MINUTES",
        help="age of a login with which readers may move traffic by --acting; 0: any",
    )  # fmt: skip
    recent.add_argument(
        "--login-url", default="", metavar="PATH",
        help="where readers log in again, e.g. /oauth2/start?prompt=login; the page adds rd=PATH",
    )  # fmt: skip
    options_group = parser.add_argument_group("Token and Anonymous")
    options_group.add_argument(
        "--audience", default=AUDIENCE, help="audience that tokens must have"
    )
    options_group.add_argument("--user", default="", help="user that everybody is with Anonymous")
    options_group.add_argument("--group", action="append", default=[], help="group of that user")
    parser.add_argument("--log-format", choices=("Text", "JSON"), default="Text")
    add_access(parser, namespace=False)
    parser.epilog = (
        "Needs the extra `web`. Writes nothing but signatures and what people request. What a reader sees is what the API server lets that user"
        " list, asked by SubjectAccessReview."
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or Ctrl-C."""
    check(args)
    configure_logging("INFO", JsonFormatter() if args.log_format == "JSON" else TextFormatter())
    logging.getLogger("aiohttp").setLevel("WARNING")
    try:
        import sluicegate.web.server  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise MissingExtra(f"the page needs {error.name}: install sluicegate[web]") from error
    asyncio.run(_serve(args))
    return 0


def check(args: argparse.Namespace) -> None:
    """Refuse arguments that would make the page accessible to other users."""
    problems = []
    if args.auth == "Local" and args.address not in {"", "127.0.0.1", "::1"}:
        text = f'is "{args.address}": with --auth Local the page is for this machine only; leave it out'
        problems.append(Problem("--address", text))
    if args.auth == "Headers":
        problems += _proxy_problems(args)
    if args.port is not None and args.port not in range(65_536):
        problems.append(Problem("--port", f"is {args.port}: choose one from 0 to 65535"))
    for network in args.proxy_cidr:
        try:
            ip_network(network)
        except ValueError as error:
            problems.append(Problem("--proxy-cidr", f'is "{network}": {error}'))
    if args.auth == "Anonymous" and not args.user:
        text = "name the user whose permissions everybody has, e.g. system:anonymous"
        problems.append(Problem("--user", text))
    if args.auth == "Anonymous" and args.signing:
        text = "everybody is the same user with --auth Anonymous, and a signature is one person's"
        problems.append(Problem("--signing", f"{text}: leave it out"))
    if args.auth == "Anonymous" and args.acting:
        text = "everybody is the same user with --auth Anonymous, and a request is one person's"
        problems.append(Problem("--acting", f"{text}: leave it out"))
    problems += _tls_problems(args)
    problems += _login_problems(args)
    if problems:
        raise InvalidInput(problems)


def _tls_problems(args: argparse.Namespace) -> Iterator[Problem]:
    """Yield the file without which the other one is no certificate with its key."""
    if (args.tls_cert_file is None) != (args.tls_private_key_file is None):
        missing = "--tls-private-key-file" if args.tls_cert_file else "--tls-cert-file"
        yield Problem(missing, "name both files for HTTPS, or none for HTTP")


def _login_problems(args: argparse.Namespace) -> Iterator[Problem]:
    """Yield problems by which no login would be recent enough, or none would be compared."""
    minutes = args.max_login_minutes
    if minutes < 0:
        yield Problem("--max-login-minutes", f"is {minutes}: choose 1 or more, or 0 for any login")
    if minutes > 0 and not args.acting:
        text = "limits what readers do by --acting: add that, or leave it out"
        yield Problem("--max-login-minutes", text)
    if minutes > 0 and args.auth == "Headers" and not args.login_time_header:
        text = "name the header of the proxy with the time of the login, which --max-login-minutes compares"
        yield Problem("--login-time-header", text)
    if args.login_url and not args.login_url.startswith(("/", "https://")):
        yield Problem(
            "--login-url", f'is "{args.login_url}": write a path (/…) or an https:// address'
        )


def _proxy_problems(args: argparse.Namespace) -> Iterator[Problem]:
    """Yield settings by which others than the proxy may send its headers, or the proxy may not."""
    if not args.proxy_cidr:
        text = "name the addresses of the proxy, e.g. 10.0.0.0/24: others could send the headers"
        yield Problem("--proxy-cidr", text)
    text = _secret_problem(args.proxy_secret_file)
    if text:
        yield Problem("--proxy-secret-file", text)


def _secret_problem(file: Path | None) -> str:
    """Return why every request of the proxy would be refused; empty if none would."""
    if file is None:
        return "name a file with a secret that only the proxy and this page know"
    try:
        return "" if file.read_bytes().strip() else f'is "{file}": the file is empty'
    except OSError as error:
        return f'is "{file}", which can\'t be read: {error.strerror}'


async def _serve(args: argparse.Namespace) -> None:
    from sluicegate.web.installation import ClusterSource, Writes  # noqa: PLC0415 - an extra
    from sluicegate.web.server import serve_page  # noqa: PLC0415 - an extra

    local = args.auth == "Local"
    check_kubeconfig(selection(), os.environ)
    connections = Connections(login_of(selection()))
    transport = Transport(connections)
    try:
        api = KubeApi(transport, OpenGate(), field_manager="sluicegate-web")
        reader_login = await _login(args, transport)
        host = args.address or ("127.0.0.1" if local else "0.0.0.0")  # noqa: S104 - behind a Service
        port = args.port if args.port is not None else 0 if local else 8080
        namespaces = tuple(args.namespace)
        if local:
            namespaces = await readable(transport, namespaces)
        source = ClusterSource(api, connections, transport, namespaces)
        try:
            async with serve_page(
                source,
                reader_login,
                host=host,
                port=port,
                writes=Writes(
                    signing=local or args.signing,
                    acting=local or args.acting,
                    login_seconds=60 * args.max_login_minutes,
                    login_url=args.login_url,
                ),
                certificate_files=(args.tls_cert_file, args.tls_private_key_file),
            ) as listening_port:
                _announce(
                    reader_login, "https" if args.tls_cert_file else "http", host, listening_port
                )
                await _until_stopped()
        except OSError as error:
            raise SluicegateError(
                f"--address, --port: {host}:{port} can't be listened on: {error.strerror or error}"
            ) from error
    finally:
        await transport.close()


async def readable(transport: Transport, namespaces: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the given namespaces that the kubeconfig's user may list; empty for all.

    Without a name: all of them, or else the namespace of the kubeconfig, with a note.

    Raises
    ------
    SluicegateError
        The user may not list a named one, or neither all nor the kubeconfig's.
    """
    unreadable = [
        namespace for namespace in namespaces or ("",) if not await _may_list(transport, namespace)
    ]
    if not unreadable:
        return namespaces
    if namespaces:
        unreadable_text = ", ".join(unreadable)
        raise SluicegateError(
            f"--namespace: you may not list DataProducts in {unreadable_text}: leave it out, or ask for the role"
            " view there"
        )
    own_namespace = read_access(Selection(), os.environ).namespace
    if not await _may_list(transport, own_namespace):
        raise SluicegateError(
            f"you may list DataProducts neither in all namespaces nor in {own_namespace}, the namespace of your"
            " kubeconfig: name those that you may list by --namespace"
        )
    print(
        f"You may not list DataProducts in all namespaces: the page shows {own_namespace}, the namespace of your"
        " kubeconfig. Name others by --namespace, which can be repeated.",
        file=sys.stderr,
    )
    return (own_namespace,)


async def _may_list(transport: Transport, namespace: str) -> bool:
    try:
        await transport.send(list_page(DATA_PRODUCTS, namespace=namespace, limit=1))
    except Forbidden:
        return False
    except NotFound as error:
        raise SluicegateError(
            "the cluster of the kubeconfig does not know DataProducts: install the chart there, or choose"
            " another cluster by KUBECONFIG"
        ) from error
    except KubeError as error:
        raise SluicegateError(f"the cluster of the kubeconfig can't be read: {error}") from error
    return True


async def _login(args: argparse.Namespace, transport: Transport) -> ReaderLogin:
    from sluicegate.web.identity import (  # noqa: PLC0415 - an extra
        AnonymousLogin,
        HeaderLogin,
        LocalLogin,
        Proxy,
        TokenLogin,
    )

    match args.auth:
        case "Headers":
            proxy = Proxy(
                peers=tuple(ip_network(one) for one in args.proxy_cidr),
                secret=args.proxy_secret_file,
                user=args.user_header,
                groups=args.groups_header,
                separator=args.groups_separator,
                user_prefix=args.user_prefix,
                group_prefix=args.group_prefix,
                login_time=args.login_time_header,
            )
            return HeaderLogin(proxy)
        case "Token":
            return TokenLogin(transport, args.audience, time.monotonic)
        case "Anonymous":
            return AnonymousLogin(args.user, tuple(args.group))
        case _:
            return LocalLogin(await _own_name(transport))


async def _own_name(transport: Transport) -> str:
    """Return the user of the kubeconfig; any KubeError means that no cluster can be read."""
    try:
        answer = await transport.send(create_request(SUBJECT_REVIEWS, {"metadata": {}}, manager=""))
    except KubeError as error:
        raise SluicegateError(f"the cluster of the kubeconfig can't be read: {error}") from error
    return str(answer.get("status", {}).get("userInfo", {}).get("username", ""))


def _announce(login: ReaderLogin, scheme: str, host: str, port: int) -> None:
    from sluicegate.web.identity import LocalLogin  # noqa: PLC0415 - an extra

    host_text = f"[{host}]" if ":" in host else host
    if isinstance(login, LocalLogin):
        login.hosts = frozenset({f"{host_text}:{port}", f"localhost:{port}"})
        print(f"{scheme}://{host_text}:{port}/?token={login.token}")
        print("The address is good for one browser. Ctrl-C ends the page.", file=sys.stderr)
    else:
        print(f"{scheme}://{host_text}:{port}/")
    sys.stdout.flush()


async def _until_stopped() -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stopped.set)
    await stopped.wait()
