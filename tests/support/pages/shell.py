"""The shell of a page's reader, with state from command to command like a terminal."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import yaml

from tests.support.pages.steps import Command, File, prints
from tests.support.processes.running import stop

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

END = "end-of-the-command"
SECONDS = 240.0


class Shell:
    """A bash in a folder. `spells` replaces words of the pages by those of the test."""

    def __init__(
        self, folder: Path, *, env: Mapping[str, str], spells: Mapping[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.ran: list[Command] = []
        self.spells = dict(spells or {})
        self._process = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        stop(self._process)
        if self._process.stdout:
            self._process.stdout.close()

    def run(self, command: Command) -> str:
        """Return the output of a command, of both streams.

        Raises
        ------
        AssertionError
            It ends otherwise than the page says, or prints something else.
        """
        began = time.monotonic()
        code, printed = self._run(self._spelled(command.text))
        print(f"{time.monotonic() - began:6.1f} s  {command.text}")
        for documented, local in self.spells.items():
            printed = printed.replace(local, documented)
        assert (code != 0) == command.refused, f"{command.text}\n→ {code}\n{printed}"
        if command.prints:
            assert prints(command.prints, printed), (
                f"{command.text}\nprints\n{printed}\nand not\n{command.prints}"
            )
        self.ran.append(command)
        return printed

    def write(self, file: File) -> None:
        """Write a file, or merge the page's part of it into an existing one."""
        folder = self._run("pwd")[1].strip()
        path = self.folder / folder / file.name
        text = file.content
        if not isinstance(text, str):
            old = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else None
            whole = merged(old, text)
            text = yaml.safe_dump(whole, allow_unicode=True).replace("…", digest_of(whole))
        path.write_text(self._spelled(text), encoding="utf-8")

    def _spelled(self, text: str) -> str:
        for documented, local in self.spells.items():
            text = text.replace(documented, local)
        return text

    def _run(self, line: str) -> tuple[int, str]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{{ {line}\n}} </dev/null; printf '\\n{END} %s\\n' $?\n")
        self._process.stdin.flush()
        late = threading.Timer(SECONDS, lambda: stop(self._process))
        late.start()
        try:
            lines = []
            for printed in self._process.stdout:
                if printed.startswith(END):
                    break
                lines.append(printed)
            else:
                raise AssertionError(f"the shell ended in {line}:\n{''.join(lines)}")
        finally:
            late.cancel()
        return int(printed.split()[-1]), "".join(lines).strip("\n")


def digest_of(document: Any) -> str:
    """Return a digest for the bento that a page leaves out: another one for each version."""
    try:
        version: str = document["spec"]["model"]["bento"]["version"]
    except (KeyError, TypeError):
        return "0" * 64
    return version.removeprefix("v") * 64


def merged(old: object, new: object) -> object:
    """Return `old` merged with `new`; lists are replaced."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: merged(old.get(key), value) for key, value in new.items()}
    return new
