"""The launcher of the runtime image, which serves one bento in a pod.

`python -m sluicegate_service.launcher /bento` does what `bentoml serve` does, with BentoML's own
application and metrics, and adds what a service can't add to itself (docs/adr/0005):

- The API answers on one port, metrics and probes on another, so that a route to the first never
  exposes the second.
- Unknown paths are answered 404 before they reach BentoML's metrics, which make a time series of every
  path; they are counted under one path.
- Objects that exist at the start are excluded from garbage collections, which are most of the 99th
  percentile of latency.
- One process a pod, without a supervisor: a crash ends the container at once, and Kubernetes detects
  it. More processes are more replicas.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import shutil
import signal
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from sluicegate_service.bentos import OWN_SERVER, BentoInvalid, read_bento, require_models
from sluicegate_service.environment import LOG
from sluicegate_service.keys import KeyFiles
from sluicegate_service.layers import (
    FEEDBACK,
    layered,
    on_metrics_port,
    require_feedback,
)
from sluicegate_service.monitoring import redirect
from sluicegate_service.paths import METRICS, PortFilter
from sluicegate_service.prediction_log import close_log
from sluicegate_service.request_limits import FeedbackRoute, Limits
from sluicegate_service.secret_watch import secret_gauge, watch_secret
from sluicegate_service.traces import traces
from sluicegate_service.unknown_paths import counter_of
from sluicegate_service.validation import bound_validation
from sluicegate_service.wheels import add_to_path

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sluicegate_service.paths import Application

API_PORT = 3000
METRICS_PORT = 3001
BACKLOG = 2048
KEEP_ALIVE_SECONDS = 3900
"""Seconds of keep-alive, longer than those of gateways (Envoy an hour, Traefik 90 s): a server that
closes a connection first may do so just as a request arrives, which the caller gets as 502."""
log = logging.getLogger("sluicegate.launcher")


class LaunchError(Exception):
    """The bento can't be served; the message has the way out."""


@dataclass(frozen=True, slots=True)
class Options:
    """Bento and ports. `graceful_seconds` None waits until the pod is killed."""

    bento: Path
    host: str
    api_port: int
    metrics_port: int
    graceful_seconds: int | None

    @classmethod
    def parse(cls, arguments: Sequence[str]) -> Options:
        """Parse the options of the command line."""
        parser = argparse.ArgumentParser(prog="sluicegate_service.launcher")
        parser.add_argument("bento", type=Path, help="folder of an exported bento")
        parser.add_argument("--host", default="0.0.0.0")  # noqa: S104 - a pod serves its network
        parser.add_argument("--api-port", type=int, default=API_PORT)
        parser.add_argument("--metrics-port", type=int, default=METRICS_PORT)
        parser.add_argument("--graceful-seconds", type=int, help="default: until killed")
        return cls(**vars(parser.parse_args(arguments)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM, then finish the requests in flight; return 0 then, 1 if it can't start."""
    options = Options.parse(sys.argv[1:] if arguments is None else arguments)
    try:
        # The kubelet may send SIGTERM before the server handles it.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        _prepare_environment()
        application = load_application(options)
        return _serve(application, options)
    except (BentoInvalid, LaunchError) as error:
        print(f"can't serve {options.bento}: {error}", file=sys.stderr)  # noqa: T201
        return 1


def load_application(options: Options) -> Application:
    """Return BentoML's application of the bento, behind the filter."""
    bento = read_bento(options.bento)
    require_models(bento)
    add_to_path(options.bento, Path(os.environ["BENTOML_HOME"]) / "wheels")
    service = _load_service(options.bento)
    _one_process(service)
    _set_environment_of(service)
    _name_in_metrics(service, bento.name, bento.version)
    with _wrong_variables():
        require_feedback(service)
    bound_validation(service)
    traces.open(service, os.environ)
    application = service.to_asgi(is_main=True)
    _redirect_monitors()  # after to_asgi, which configures BentoML as the service says
    _probe_no_other_server()
    declared = frozenset(_path(service, api.route) for api in service.apis.values())
    keys = KeyFiles.from_environment(os.environ)
    with _wrong_variables():
        guarded = layered(application, declared, FeedbackRoute(_path(service, FEEDBACK), keys))
        unguarded = on_metrics_port(application, f"{service.path_prefix or ''}{METRICS}")
    return PortFilter(
        application,
        declared=declared,
        prefix=service.path_prefix or "",
        api_port=options.api_port,
        on_started=_Started(keys, secret_gauge()),
        on_unknown=counter_of(service.name, bento.name, bento.version),
        guarded=guarded,
        unguarded=unguarded,
    )


@contextmanager
def _wrong_variables() -> Iterator[None]:
    """Convert the error about a variable that isn't as the operator writes it."""
    try:
        yield
    except ValueError as error:
        raise LaunchError(str(error)) from error


def _prepare_environment() -> None:
    """Set variables that must exist before BentoML and prometheus_client are imported.

    The folder of counters is emptied, as by `bentoml serve`: a restarted container counts from
    zero, which Prometheus handles.
    """
    home = Path(os.environ.setdefault("BENTOML_HOME", str(Path.home() / "bentoml")))
    os.environ.setdefault("BENTOML_DO_NOT_TRACK", "True")
    counters = home / "prometheus_multiproc_dir"
    try:
        shutil.rmtree(counters, ignore_errors=True)
        counters.mkdir(parents=True)
    except OSError as error:
        raise LaunchError(
            f"BENTOML_HOME={home} is not writable ({error.strerror}): mount an emptyDir there"
        ) from error
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(counters)


def _load_service(folder: Path) -> Any:
    """Return the bento's service, with its folder as the working directory and its models as store."""
    import bentoml  # noqa: PLC0415 - reads the environment when it is imported

    try:
        service: Any = bentoml.load(str(folder.resolve()), standalone_load=True)
    except bentoml.exceptions.BentoMLException as error:
        raise LaunchError(f"{error}; are its requirements in the runtime image?") from error
    if not hasattr(service, "to_asgi"):
        raise LaunchError("it defines no service with @bentoml.service: use BentoML 1.2 or later")
    if service.has_custom_command():
        raise LaunchError(f"{service.name} {OWN_SERVER}")
    return service


def _probe_no_other_server() -> None:
    """Let a pod be ready by itself: services of `bentoml.depends(url=…)` have probes of their own.

    BentoML requests their /readyz, which no route of a product has.
    """
    from bentoml._internal.configuration.containers import BentoMLContainer  # noqa: PLC0415

    BentoMLContainer.api_server_config.runner_probe.enabled.set(False)


def _redirect_monitors() -> None:
    """Let `bentoml.monitor` write into the log of predictions, or where a pod may write."""
    from bentoml._internal.configuration.containers import BentoMLContainer  # noqa: PLC0415

    redirect(
        BentoMLContainer.config.monitoring,
        Path(os.environ["BENTOML_HOME"]),
        logged=bool(os.environ.get(LOG)),
    )


def _one_process(service: Any) -> None:
    """Replace all workers that the service configures, with a log line.

    max_concurrency is divided by their number, so BentoML must count one.
    """
    workers = service.config.get("workers")
    if workers not in (None, 1):
        log.warning(
            "%s asks for workers=%s; a pod runs one process: set replicas instead",
            service.name,
            workers,
        )
    service.config["workers"] = 1


def _set_environment_of(service: Any) -> None:
    """Set defaults of the variables that the service declares; LaunchError names a missing one."""
    for declared in service.envs:
        if declared.stage == "build" or declared.name in os.environ:
            continue
        if not declared.value:
            raise LaunchError(f"{service.name} needs the variable {declared.name}: set serving.env")
        os.environ[declared.name] = declared.value


def _name_in_metrics(service: Any, name: str, version: str) -> None:
    """Set the names in BentoML's metrics; in its own server the worker does this."""
    from _bentoml_impl.server.serving import server_on_deployment  # noqa: PLC0415 - see above
    from bentoml._internal.context import server_context  # noqa: PLC0415 - see above

    _configure_logs()
    server_on_deployment(service)
    server_context.service_type = "entry_service"
    server_context.service_name = service.name
    server_context.bento_name = name
    server_context.bento_version = version
    server_context.worker_index = 1
    server_context.service_routes = [_path(service, api.route) for api in service.apis.values()]


def _configure_logs() -> None:
    """Format logs as BentoML's servers do.

    BentoML disables the loggers that exist at this time: those of this library, and those of the
    service's modules. They are enabled again, so that their warnings reach the pod's log.
    """
    from bentoml._internal.log import configure_server_logging  # noqa: PLC0415 - see above

    loggers = [each for each in logging.root.manager.loggerDict.values() if _is_enabled(each)]
    configure_server_logging()  # type: ignore[no-untyped-call]
    for logger in loggers:
        logger.disabled = False


def _is_enabled(logger: object) -> TypeGuard[logging.Logger]:
    return isinstance(logger, logging.Logger) and not logger.disabled


def _path(service: Any, route: str) -> str:
    return f"{(service.path_prefix or '').rstrip('/')}/{route.lstrip('/')}"


class _Started:
    """Actions after the start of the service, in the server's event loop."""

    def __init__(self, keys: KeyFiles, show: Callable[[bool], None]) -> None:
        self._keys, self._show = keys, show
        self._watch: asyncio.Task[None] | None = None

    def __call__(self) -> None:
        self._watch = asyncio.get_running_loop().create_task(watch_secret(self._keys, self._show))
        _freeze()


def _freeze() -> None:
    """Exclude all existing objects from later garbage collections."""
    gc.collect()
    gc.freeze()


def _serve(application: Application, options: Options) -> int:
    import uvicorn  # noqa: PLC0415 - after the environment is set

    from sluicegate_service.connections import HeaderDeadline  # noqa: PLC0415 - the same

    config = uvicorn.Config(
        application,
        http=HeaderDeadline,
        ws_max_size=Limits.from_environment(os.environ).body_bytes,
        backlog=BACKLOG,
        log_config=None,
        server_header=False,
        # The peer is the gateway; its headers about clients aren't trusted.
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=options.graceful_seconds,
    )
    sockets = [_listen(options.host, port) for port in (options.api_port, options.metrics_port)]
    server = uvicorn.Server(config)
    try:
        server.run(sockets=sockets)
    finally:
        close_log()
        traces.close()
    return 0 if server.started else 1


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket bound to the port; the server listens on it once the service has started."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        raise LaunchError(f"port {port} on {host} can't be used: {error.strerror}") from error
    return listener


if __name__ == "__main__":
    sys.exit(main())
