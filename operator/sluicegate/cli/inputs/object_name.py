"""Parsing of the argument that names an object."""

import os

from sluicegate.cli.inputs.access_options import chosen_namespace, selection
from sluicegate.errors import invalid
from sluicegate.kube.kubeconfig import read_access
from sluicegate.kube.resources import Key


def parse_key(text: str, *, argument: str, example: str = "catalog/search-ranking") -> Key:
    """Parse NAMESPACE/NAME.

    Raises
    ------
    InvalidInput
        The text has another form; the message names the argument, and has the example.
    """
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name):
        raise invalid(argument, f'is "{text}": write NAMESPACE/NAME, e.g. {example}')
    return Key(namespace, name)


def parse_name(text: str, *, argument: str, example: str = "catalog/search-ranking") -> Key:
    """Parse NAMESPACE/NAME, or NAME in the namespace of -n or of the kubeconfig's context.

    Raises
    ------
    InvalidInput
        The text has another form, or no kubeconfig has a namespace.
    """
    if text and "/" not in text:
        namespace = chosen_namespace() or read_access(selection(), os.environ).namespace
        return Key(namespace, text)
    return parse_key(text, argument=argument, example=example)
