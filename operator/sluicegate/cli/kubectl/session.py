"""Which objects a command is about, where they are, and who asks: the arguments that all have."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sluicegate.api.names import GROUP, LABEL_PRODUCT, PLURAL
from sluicegate.cli.inputs.access_options import add_access, selection_of
from sluicegate.cli.printing.terminal import print_progress
from sluicegate.errors import SluicegateError, invalid
from sluicegate.kube.direct_client import DirectClient
from sluicegate.kube.errors import Forbidden, NotFound
from sluicegate.kube.kubeconfig import Access, read_access
from sluicegate.kube.requests import create_request
from sluicegate.kube.resources import DATA_PRODUCT_REVIEWS, DATA_PRODUCTS, SUBJECT_REVIEWS, Key
from sluicegate.views import product as facts
from sluicegate.views.plain_text import clean_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from sluicegate.kube.resources import Resource

Body = dict[str, Any]


class Refused(SluicegateError):  # noqa: N818 - says what is the case
    """The API server refused a request; the message has the verb and the roles that permit it."""


@dataclass(frozen=True, slots=True)
class Session:
    """The API server and namespace of a command.

    Attributes
    ----------
    namespace : as given by -n, or that of the context; empty for all.
    """

    client: DirectClient
    access: Access
    namespace: str

    def key(self, name: str) -> Key:
        """Return the product that NAME, NAMESPACE/NAME or dataproduct.sluicegate.dev/NAME means."""
        return key_of(name, self.namespace or self.access.namespace)

    def product(self, key: Key) -> Body:
        """Read a product.

        Raises
        ------
        InvalidInput
            There is none of that name.
        Refused
            The person may not read it.
        """
        with refusals("get", DATA_PRODUCTS, key.namespace):
            try:
                return self.client.get(DATA_PRODUCTS, key)
            except NotFound as error:
                text = (
                    f"there is no DataProduct {key.name} in the namespace {key.namespace}:"
                    " `kubectl sluicegate get -A` lists those there are"
                )
                raise invalid("NAME", text) from error

    def reviews(self, key: Key) -> list[Body]:
        """Return the reviews of a product; Refused where the person may not list them."""
        with refusals("list", DATA_PRODUCT_REVIEWS, key.namespace):
            labels = f"{LABEL_PRODUCT}={key.name}"
            items = self.client.items(DATA_PRODUCT_REVIEWS, namespace=key.namespace, labels=labels)
            return list(items)


def add_product(parser: argparse.ArgumentParser, *, nargs: str | None = None) -> None:
    """Declare the argument NAME and the namespace option of a product."""
    parser.add_argument(
        "product", metavar="NAME", nargs=nargs, help="name of a DataProduct, or NAMESPACE/NAME"
    )
    add_access(parser)


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[Session]:
    """Yield a session with the API server of the kubeconfig; close its connection at the end."""
    access = read_access(selection_of(args), os.environ)
    everywhere = getattr(args, "all_namespaces", False)
    namespace = "" if everywhere else (args.namespace or access.namespace)
    with DirectClient(
        access, lambda text: print_progress(f"Warning: {clean_text(text)}")
    ) as client:
        yield Session(client, access, namespace)


def key_of(text: str, namespace: str) -> Key:
    """Return the key that a text names; a NAME alone is in `namespace`."""
    kind, slash, name = text.rpartition("/")
    if not name or "/" in kind:
        raise invalid("NAME", f'is "{text}": write NAME or NAMESPACE/NAME')
    if not slash or kind.partition(".")[0] in {"dprod", "dataproduct", PLURAL}:
        return Key(namespace, name)
    return Key(kind, name)


@contextmanager
def refusals(verb: str, resource: Resource, namespace: str) -> Iterator[None]:
    """Convert Forbidden into a message with the missing verb and the roles that permit it."""
    try:
        yield
    except Forbidden as error:
        raise Refused(refusal(str(error), verb, resource.qualified, namespace)) from error


def refusal(message: str, verb: str, resource: str, namespace: str) -> str:
    """Return the message about a refused request; an admission policy's own message suffices."""
    message = clean_text(message.partition("Forbidden: ")[2] or message)
    if "ValidatingAdmissionPolicy" in message:
        return message.partition(" denied request: ")[2] or message
    location = f"in the namespace {namespace}" if namespace else "in all namespaces"
    required_verb = f"the verb {verb} on {resource} {location} is needed"
    if verb == "list" and not namespace:
        return f"{message}; {required_verb}: choose a namespace with -n NAMESPACE, or have a ClusterRoleBinding"
    having = "any role of the chart" if verb in {"get", "list", "watch"} else _roles(resource)
    question = f"kubectl auth can-i {verb} {resource} -n {namespace or 'NAMESPACE'}"
    return f"{message}; {required_verb}: {having} has it, by a RoleBinding; `{question}` checks it"


def _roles(resource: str) -> str:
    return (
        "the ClusterRole …-product-manager, …-data-scientist, …-platform-engineer or …-approver"
        if resource.endswith(GROUP)
        else "the platform's administrator"
    )


def username(client: DirectClient) -> str:
    """Return the requester's user name at the API server."""
    answer = client.send(create_request(SUBJECT_REVIEWS, {"metadata": {}}, manager=""))
    return str(facts.section(answer, "status", "userInfo").get("username", ""))
