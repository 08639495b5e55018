"""Reads the object that a command is about from its argument."""

from sluicegate.errors import InvalidInput, Problem
from sluicegate.kube.resources import Key


def parse_key(text: str, *, argument: str, example: str = "catalog/search-ranking") -> Key:
    """The object that NAMESPACE/NAME names.

    Raises
    ------
    InvalidInput
        The text has another form; the message names the argument, and has the example.
    """
    namespace, slash, name = text.partition("/")
    if not (namespace and slash and name):
        problem = f'is "{text}": write NAMESPACE/NAME, e.g. {example}'
        raise InvalidInput([Problem(argument, problem)])
    return Key(namespace, name)
