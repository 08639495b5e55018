"""The secrets of feedback, from the files of a mounted Secret.

The kubelet replaces the files when the Secret changes, so they are read again after a change.
"""

from __future__ import annotations

import hmac
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from sluicegate_service.environment import (
    BEARER_FILE,
    DEFAULT_FEEDBACK_DIRECTORY,
    FEEDBACK_DIRECTORY,
    KEY_FILE,
    PREVIOUS_KEY_FILE,
)
from sluicegate_service.tokens import MIN_KEY_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FILES = (KEY_FILE, PREVIOUS_KEY_FILE, BEARER_FILE)
log = logging.getLogger("sluicegate.feedback")


class KeyFileError(Exception):
    """The mounted Secret is invalid; the message, for the log, has the key and the reason.

    It isn't sent to callers, who may not be authenticated.

    Attributes
    ----------
    lacks : the reason in a few words, without the key: "has no key hmac".
    """

    def __init__(self, message: str, lacks: str) -> None:
        super().__init__(message)
        self.lacks = lacks


UNUSABLE: Final = (
    "the Secret of serving.feedback.secretRef can't be used: it needs the keys hmac and bearer,"
    f" each of at least {MIN_KEY_BYTES} bytes; the pod's log names the one that is wrong"
)
"""Public message about an invalid Secret."""


@dataclass(frozen=True, slots=True)
class FeedbackKeys:
    """Keys that sign and accept tokens, and the bearer that a caller of /feedback must present."""

    hmac: tuple[bytes, ...]
    bearer: bytes = field(repr=False)

    def admits(self, authorization: str | None) -> bool:
        """Return whether the Authorization header carries the bearer token."""
        scheme, _, token = (authorization or "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode(errors="surrogateescape"), self.bearer
        )


@dataclass(slots=True)
class KeyFiles:
    """The keys in a folder. Without the folder feedback is off.

    Predictions don't depend on the Secret: they are signed with the newest valid key, or have no
    token.
    """

    directory: Path
    _seen: tuple[int, ...] | None = field(default=None, init=False)
    _keys: FeedbackKeys | None = field(default=None, init=False, repr=False)
    _problem: KeyFileError | None = field(default=None, init=False)
    _signing: tuple[bytes, ...] = field(default=(), init=False, repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the keys in the folder that the operator mounts."""
        return cls(Path(environment.get(FEEDBACK_DIRECTORY) or DEFAULT_FEEDBACK_DIRECTORY))

    def current(self) -> FeedbackKeys | None:
        """Return the current keys in the files; None if there is no folder.

        Raises
        ------
        KeyFileError
            One of `hmac` and `bearer` is missing, or a key is shorter than 16 bytes or can't be read.
        """
        self._refresh()
        if self._problem is not None:
            raise KeyFileError(str(self._problem), self._problem.lacks)
        return self._keys

    def lacks(self) -> str:
        """Return the problem of the Secret, in a few words; empty if it is valid, or feedback is off."""
        try:
            self.current()
        except KeyFileError as error:
            return error.lacks
        return ""

    def signing(self) -> tuple[bytes, ...]:
        """Return the keys that sign predictions: the last valid ones; empty if there were none."""
        self._refresh()
        return self._signing

    def _refresh(self) -> None:
        state = tuple(_changed(path) for path in (self.directory, *self._paths()))
        if state == self._seen:
            return
        self._seen = state
        self._keys, self._problem = None, None
        try:
            self._keys = self._read()
        except KeyFileError as error:
            self._problem = error
            log.error("%s; predictions are answered, /feedback is not", error)  # noqa: TRY400 - no bug

    def _paths(self) -> Iterator[Path]:
        return (self.directory / name for name in _FILES)

    def _read(self) -> FeedbackKeys | None:
        if not os.path.isdir(self.directory):  # noqa: PTH112 - never raises
            self._signing = ()
            return None
        key = _key(self.directory / KEY_FILE)
        self._signing = (key,)
        previous = _key(self.directory / PREVIOUS_KEY_FILE, optional=True)
        self._signing = (key, previous) if previous else (key,)
        bearer = _key(self.directory / BEARER_FILE)
        return FeedbackKeys(hmac=self._signing, bearer=bearer)


def _changed(path: Path) -> int:
    try:
        return os.stat(path).st_mtime_ns  # noqa: PTH116 - once a request: a third of Path.stat's time
    except OSError:
        return 0


def _key(path: Path, *, optional: bool = False) -> bytes:
    """Return the key in a file, without the line end of an editor; empty if it may be missing."""
    try:
        key = path.read_bytes().strip()
    except FileNotFoundError:
        key = b""
    except OSError as error:
        text = f"{path} can't be read: {error.strerror}"
        raise KeyFileError(text, f"has a key {path.name} that can't be read") from error
    if not key and not optional:
        raise KeyFileError(
            f"{path.parent} has no key {path.name}: the Secret of serving.feedback.secretRef needs"
            " the keys hmac and bearer",
            f"has no key {path.name}",
        )
    if key and len(key) < MIN_KEY_BYTES:
        raise KeyFileError(
            f"{path} holds {len(key)} bytes: the Secret of serving.feedback.secretRef needs at"
            f" least {MIN_KEY_BYTES} in each key, for example what `openssl rand -base64 32` prints",
            f"has {len(key)} bytes in its key {path.name}",
        )
    return key
