"""The targets of the demonstration, as `make help` lists them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from demo.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[3]


def test_make_help_lists_each_command_of_the_demonstration():
    text = subprocess.run(
        ["make", "--silent", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    targets = set(re.findall(r"demo(?:-[a-z]+)?(?=\s)", text))
    commands = {f"demo-{name}" for name in COMMANDS if name != "run"}
    assert targets == {"demo", "demo-web", *commands}
