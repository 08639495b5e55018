"""What is wrong with a document, as paths and sentences."""

from collections.abc import Iterable

from pydantic_core import ErrorDetails

from sluicegate.errors import InvalidInput, Problem

_SENTENCES = {
    "missing": "is required: set it",
    "extra_forbidden": "is not a field: correct its name or remove it",
}

_ENDS_WITH_DIGEST = "@sha256:[a-f0-9]{64}$"
"""End of the pattern of an image that needs its digest."""


__all__ = ["InvalidProduct", "json_path", "problem"]


class InvalidProduct(InvalidInput):
    """A document that is no valid DataProduct."""


def json_path(parts: Iterable[int | str]) -> str:
    """Return a path in JSON notation: `spec.slos[1].objective` for `("spec", "slos", 1, "objective")`."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def problem(error: ErrorDetails) -> Problem:
    """Return a pydantic error as a problem, with the value where it helps."""
    path = json_path(error["loc"])
    if error["type"] in _SENTENCES:
        return Problem(path, _SENTENCES[error["type"]])
    message = error["msg"][:1].lower() + error["msg"][1:]
    value = error["input"]
    if error["type"] in {"rule", "duplicate"} or isinstance(value, dict | list | tuple):
        return Problem(path, error["msg"])
    if _ENDS_WITH_DIGEST in str((error.get("ctx") or {}).get("pattern", "")) and value:
        message = "it must name the image by digest, not by a tag: write …@sha256:…, as `sluicegate pack` prints it"
    return Problem(path, f"is {_shown(value)}, but {message}")


def _shown(value: object) -> str:
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= 80 else f"{text[:77]}…"  # noqa: PLR2004 - one line of a terminal
