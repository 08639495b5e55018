"""Regular expressions of fields, each with the sentence that an error has in its place."""

from typing import Final

_SENTENCES: Final[dict[str, str]] = {}
_AT_SERVER: Final[set[str]] = set()
"""Expressions whose sentence is a rule of the API server, too."""


def described(pattern: str, sentence: str, *, at_server: bool = False) -> str:
    """Return a regular expression, and keep the sentence for the errors of its fields.

    Parameters
    ----------
    pattern : for Python, pydantic's Rust and Go alike.
    sentence : continues `is "…", but`, and has the way out: `must be …: write …`.
    at_server : whether the API server has the sentence, too. kubectl keeps a definition in an
        annotation of 256 KiB, which has no room for the sentences of all fields.

    Raises
    ------
    ValueError
        The expression has another sentence already: fields that share it share its error.
    """
    if _SENTENCES.setdefault(pattern, sentence) != sentence:
        raise ValueError(f"{pattern} has two sentences: write the same one for both")
    if at_server:
        _AT_SERVER.add(pattern)
    return pattern


def is_at_server(pattern: str) -> bool:
    """Return whether a CRD validation rule states a regular expression's sentence, too."""
    return pattern in _AT_SERVER


def sentence_of(pattern: str) -> str | None:
    """Return the sentence of a regular expression; None if it has none."""
    return _SENTENCES.get(pattern)
