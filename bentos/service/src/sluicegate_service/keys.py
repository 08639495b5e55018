"""The secrets of feedback, from the files of a mounted Secret.

The kubelet swaps the files when the Secret changes, so they are read again when they have.
"""

from __future__ import annotations

import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from sluicegate_service.environment import (
    BEARER_FILE,
    DEFAULT_FEEDBACK_DIRECTORY,
    FEEDBACK_DIRECTORY,
    KEY_FILE,
    PREVIOUS_KEY_FILE,
)
from sluicegate_service.tokens import MIN_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

_FILES = (KEY_FILE, PREVIOUS_KEY_FILE, BEARER_FILE)


class KeyFileError(Exception):
    """The Secret is mounted and a key in it is missing or too weak."""


@dataclass(frozen=True, slots=True)
class FeedbackKeys:
    """What signs and accepts tokens, and what a caller of /feedback has to present."""

    hmac: tuple[bytes, ...]
    bearer: bytes = field(repr=False)

    def admits(self, authorization: str | None) -> bool:
        """Whether the Authorization header carries the bearer token."""
        scheme, _, token = (authorization or "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode(), self.bearer
        )


@dataclass(slots=True)
class KeyFiles:
    """The keys in a folder; None while the folder holds no Secret, and feedback is off."""

    directory: Path
    _seen: tuple[int, ...] | None = field(default=None, init=False)
    _keys: FeedbackKeys | None = field(default=None, init=False, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The folder that the operator mounts."""
        return cls(Path(environment.get(FEEDBACK_DIRECTORY) or DEFAULT_FEEDBACK_DIRECTORY))

    def current(self) -> FeedbackKeys | None:
        """The keys as the files hold them now.

        Raises
        ------
        KeyFileError
            One of `hmac` and `bearer` is missing, or a key is shorter than 16 bytes.
        """
        seen = tuple(_changed(self.directory / name) for name in _FILES)
        if seen != self._seen:
            self._keys = _read(self.directory)
            self._seen = seen
        return self._keys


def _changed(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - once a request: a third of Path.stat's time
    except OSError:
        return 0


def _read(directory: Path) -> FeedbackKeys | None:
    found = {name: _content(directory / name) for name in _FILES}
    if not any(found.values()):
        return None
    for name, key in found.items():
        if key is None and name != PREVIOUS_KEY_FILE:
            raise KeyFileError(
                f"{directory} has no file {name}: the Secret of serving.feedback.secretRef needs"
                " the keys hmac and bearer"
            )
        if key is not None and len(key) < MIN_KEY_BYTES:
            raise KeyFileError(
                f"{directory / name} holds {len(key)} bytes: use at least {MIN_KEY_BYTES}, for"
                " example what `openssl rand -base64 32` prints"
            )
    signing = tuple(key for name in (KEY_FILE, PREVIOUS_KEY_FILE) if (key := found[name]))
    return FeedbackKeys(hmac=signing, bearer=found[BEARER_FILE] or b"")


def _content(path: Path) -> bytes | None:
    """The file without the line end that an editor leaves; None when there is none."""
    try:
        return path.read_bytes().strip() or None
    except FileNotFoundError:
        return None
