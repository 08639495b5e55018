"""A wall clock of a process's own, which a test steps while the process runs.

Time namespaces don't cover the wall clock, and to set the machine's would step everybody's. So
the process gets a library that is asked before the C library, written in C as OpenSSL and the
interpreter ask alike.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cluster.prerequisites import require_packages

if TYPE_CHECKING:
    from collections.abc import Mapping

SOURCE = Path(__file__).resolve().parents[1] / "data" / "clock" / "stepped_clock.c"
NANOSECONDS = 10**9


@dataclass(frozen=True, slots=True)
class SteppedClock:
    """The clock of one process; it is right until it is stepped."""

    library: Path
    offset: Path

    @classmethod
    def make(cls, folder: Path) -> SteppedClock:
        """Compile the library; the compiler is installed where it is missing, on Debian as root."""
        if not shutil.which("cc"):
            require_packages(["gcc", "libc6-dev"])
        made = cls(folder / "stepped_clock.so", folder / "offset")
        subprocess.run(
            [
                "cc",
                "-shared",
                "-fPIC",
                "-O2",
                "-Wall",
                "-Werror",
                "-o",
                made.library,
                SOURCE,
                "-ldl",
            ],
            check=True,
        )
        made.step(0)
        return made

    @property
    def environment(self) -> Mapping[str, str]:
        """What the process must be started with."""
        return {"LD_PRELOAD": str(self.library), "STEPPED_CLOCK": str(self.offset)}

    def step(self, seconds: int) -> None:
        """Let the clock be so many seconds ahead of the others' from now on."""
        with self.offset.open("r+b" if self.offset.exists() else "wb") as file:
            file.write(struct.pack("=q", seconds * NANOSECONDS))
