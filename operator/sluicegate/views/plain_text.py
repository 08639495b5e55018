"""Text of objects and people without what acts on a terminal or hides; the standard library alone. Pure."""

import re
from typing import Final

ESCAPE_SEQUENCES: Final = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[P^_X][^\x1b]*(?:\x1b\\)?"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?|\x1b[ -/]*[0-~]?"
)
"""Escape sequences of terminals: strings (titles, links), CSI, and the short ones."""
UNSAFE_CHARACTERS: Final = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff]"
)
"""Control characters, and those that reorder or hide text."""
INVISIBLE_CHARACTERS: Final = frozenset(
    "\u034f\u115f\u1160\u17b4\u17b5\u200c\u200d\u2800\u3164\ufe0e\ufe0f\uffa0"
)
"""Characters that have a use within a word or an emoji, and show nothing by themselves."""


def clean_text(value: object) -> str:
    """Return the text of an object in one line, without escape sequences or invisible characters."""
    text = "" if value is None else str(value)
    if text.isascii() and text.isprintable():
        return text
    text = ESCAPE_SEQUENCES.sub("", text).replace("\n", " ").replace("\t", " ")
    return UNSAFE_CHARACTERS.sub("", text)


def is_invisible(text: str) -> bool:
    """Return whether a text is invisible to a reader."""
    return all(char in INVISIBLE_CHARACTERS or char.isspace() for char in clean_text(text))
