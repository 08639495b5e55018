"""Options of all commands that read a cluster: namespace, context, kubeconfig, impersonation."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from sluicegate.kube.kubeconfig import Selection

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

_ARGUMENTS: Final[ContextVar[argparse.Namespace | None]] = ContextVar("arguments", default=None)
"""Arguments of the command that runs."""


def add_access(parser: argparse.ArgumentParser, *, namespace: bool = True) -> None:
    """Declare the options that kubectl's own commands have, too.

    Parameters
    ----------
    namespace : whether the command has no --namespace of its own.
    """
    group = parser.add_argument_group("cluster")
    if namespace:
        group.add_argument(
            "--namespace", "-n", default="", help="namespace (default: the context's)"
        )
    group.add_argument("--context", default="", help="context of the kubeconfig")
    group.add_argument("--kubeconfig", default="", metavar="FILE", help="kubeconfig to use")
    group.add_argument(
        "--as", dest="as_user", default="", metavar="USER", help="impersonate a user"
    )
    group.add_argument(
        "--as-group", dest="as_groups", action="append", default=[], metavar="GROUP",
        help="impersonate a group; may be given several times",
    )  # fmt: skip


@contextmanager
def arguments_of_command(args: argparse.Namespace) -> Iterator[None]:
    """Set the arguments of the command that runs; the next command of this process starts without."""
    token = _ARGUMENTS.set(args)
    try:
        yield
    finally:
        _ARGUMENTS.reset(token)


def selection_of(args: argparse.Namespace | None) -> Selection:
    """Return the selection of the cluster by these arguments; that of the kubeconfig without any."""
    if args is None or not hasattr(args, "context"):
        return Selection()
    return Selection(args.kubeconfig, args.context, args.as_user, tuple(args.as_groups))


def selection() -> Selection:
    """Return the selection of the cluster by the command that runs."""
    return selection_of(_ARGUMENTS.get())


def chosen_namespace() -> str:
    """Return the namespace given by -n for the running command; empty without one."""
    namespace = getattr(_ARGUMENTS.get(), "namespace", "")
    return namespace if isinstance(namespace, str) else ""
