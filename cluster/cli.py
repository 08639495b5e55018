"""The command line: `python -m cluster <command>`."""

from __future__ import annotations

import argparse
import importlib
import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from cluster.backend import BACKEND_VARIABLE, KIND, LOCAL, Backend
from cluster.backend_choice import choose_backend
from cluster.builds import build_all, elapsed, program, recipes
from cluster.cache import CACHE_VARIABLE, cache_folder
from cluster.errors import ClusterError, disk_full, is_full
from cluster.identity import CLUSTER_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import ModuleType

EPILOG = f"""\
environment:
  {BACKEND_VARIABLE}    {KIND} or {LOCAL}; otherwise {KIND} where a Docker engine answers
  {CLUSTER_VARIABLE}    the cluster's name; otherwise derived from this checkout's path
  {CACHE_VARIABLE}      folder for programs, images and clusters; otherwise ~/.cache/sluicegate
  SLUICEGATE_NODE_IMAGE image of kind's node; otherwise the pinned one

what is needed is built on first use (about 10 minutes for everything on 2 cores) and kept
in the cache folder; later starts take seconds.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0 on success, 1 with an error message otherwise."""
    parsed = make_parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
    except ClusterError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        # Who read our output has seen enough; what is still to be written goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if not is_full(error):
            raise
        print(f"error: {disk_full(cache_folder(), 'go on')}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(
            "interrupted: `python -m cluster up` goes on from here, `down` cleans up",
            file=sys.stderr,
        )
        return 130
    return code


def make_parser() -> argparse.ArgumentParser:
    """Return the parser, with one sub-command a task."""
    parser = argparse.ArgumentParser(
        prog="python -m cluster",
        description="A real Kubernetes of one node on this machine, with or without Docker.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--backend", choices=(KIND, LOCAL), help="overrides what fits the machine")
    commands = parser.add_subparsers(required=True, metavar="command")

    up = _add(commands, "up", _up, "start the cluster, or repair it, and print how to use it")
    up.add_argument("--bare", action="store_true", help="without registry, gateway and Prometheus")
    _add(commands, "down", _down, "stop the cluster and leave nothing behind")
    _add(commands, "status", _status, "show the parts, whether they run, and their memory")
    logs = _add(commands, "logs", _logs, "print the log of one part")
    logs.add_argument("component", help="a name that `status` shows")
    logs.add_argument("-f", "--follow", action="store_true", help="go on as the log grows")
    load = _add(commands, "load", _load, "load OCI archives into the node")
    load.add_argument("archive", nargs="+")
    image = _add(commands, "image", _image, "build images without Docker and load them")
    image.add_argument("name", nargs="*", help="descriptions in cluster/images; none: list them")
    image.add_argument("--no-load", action="store_true", help="only print the archive's path")
    image.add_argument(
        "--push", metavar="HOST/PATH", help="push to this registry instead, and print the digest"
    )
    image.add_argument("--plain-http", action="store_true", default=None, help="HTTP without TLS")
    _add(commands, "shell", _shell, "a shell in the node's network, with kubectl set up")
    _add(commands, "kubeconfig", _kubeconfig, "print the path of the kubeconfig")
    _add(commands, "kubectl", _kubectl, "print the path of a kubectl of the cluster's version")
    build = _add(commands, "build", _build, "build programs into the cache and print their paths")
    build.add_argument("program", nargs="*", help=f"some of {', '.join(recipes())}; none: all")
    return parser


def _add(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    run: Callable[[argparse.Namespace], int],
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text, description=text.capitalize() + ".")
    parser.set_defaults(run=run)
    return parser


def _backend(parsed: argparse.Namespace) -> Backend:
    return choose_backend(parsed.backend)


def _up(parsed: argparse.Namespace) -> int:
    backend = _backend(parsed)
    started = time.monotonic()
    fresh = backend.up()
    if not parsed.bare:
        fresh = bool(_addons().up(backend)) or fresh
    duration = elapsed(time.monotonic() - started)
    print(
        f"cluster {backend.identity.name} ({backend.kind}) "
        f"{f'is ready after {duration}' if fresh else 'runs already'}"
    )
    print(f"  export KUBECONFIG={backend.kubeconfig}")
    print(f"  alias kubectl={backend.kubectl}")
    if not parsed.bare:
        for line in _addons().describe(backend):
            print(f"  {line}")
    print("  stop it with: python -m cluster down")
    return 0


def _addons() -> ModuleType:
    # Their images take a while to import; `status` and the like don't need them.
    return importlib.import_module("cluster.addons")


def _down(parsed: argparse.Namespace) -> int:
    backend = _backend(parsed)
    backend.down()
    print(f"cluster {backend.identity.name} is gone")
    return 0


def _status(parsed: argparse.Namespace) -> int:
    backend = _backend(parsed)
    parts = backend.components()
    ready = backend.is_ready()
    print(f"cluster {backend.identity.name} ({backend.kind}): {'ready' if ready else 'not ready'}")
    for part in parts:
        memory = f"{part.memory:5} MiB" if part.memory is not None else " " * 9
        print(f"  {part.name:26} {'runs ' if part.is_alive else 'ended'} {memory}")
    total = sum(part.memory or 0 for part in parts)
    if total:
        print(f"  {'together':26}       {total:5} MiB")
    return 0 if ready else 1


def _logs(parsed: argparse.Namespace) -> int:
    logs = {part.name: part.log_command for part in _backend(parsed).components()}
    if parsed.component not in logs:
        existing = ", ".join(logs) or "none, since the cluster doesn't run"
        raise ClusterError(f"there is no part {parsed.component!r}; there are {existing}")
    follow = ("--follow",) if parsed.follow else ()
    return subprocess.run([*logs[parsed.component], *follow], check=False).returncode


def _load(parsed: argparse.Namespace) -> int:
    from pathlib import Path  # noqa: PLC0415 - only here

    backend = _backend(parsed)
    for archive in parsed.archive:
        if not Path(archive).is_file():
            raise ClusterError(f"there is no archive {archive}")
        backend.load_image(Path(archive).absolute())
    return 0


def _image(parsed: argparse.Namespace) -> int:
    from cluster.images import build, describe, image_names  # noqa: PLC0415 - as above
    from cluster.images.push import push  # noqa: PLC0415 - the same

    if not parsed.name:
        print("\n".join(sorted(image_names())))
        return 0
    for name in parsed.name:
        built = build(describe(name), cache=cache_folder(), program=program)
        if parsed.push:
            print(push(built, parsed.push, plain_http=parsed.plain_http))
            continue
        if not parsed.no_load:
            _backend(parsed).load_image(built.archive)
        print(f"{built.reference} {built.archive}")
    return 0


def _shell(parsed: argparse.Namespace) -> int:
    return _backend(parsed).shell()


def _kubeconfig(parsed: argparse.Namespace) -> int:
    print(_backend(parsed).kubeconfig)
    return 0


def _kubectl(parsed: argparse.Namespace) -> int:
    print(_backend(parsed).kubectl)
    return 0


def _build(parsed: argparse.Namespace) -> int:
    for path in build_all(parsed.program or recipes()).values():
        print(path)
    return 0
