"""A command whose reader goes ends without a traceback."""

from __future__ import annotations

import subprocess
import sys

TALKS = "import sluicegate.__main__ as m, sys; m.COMMANDS = {'crds': 'x'};"
ENDLESS = "import sluicegate.cli.operations.crds as c; c.run = lambda args: [print('x' * 99) for _ in range(9999)] and 0;"


def test_a_closed_output_pipe_prints_no_traceback():
    command = [sys.executable, "-c", f"{TALKS}{ENDLESS} sys.exit(m.main(['crds']))"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.read(1)
        running.stdout.close()
        said = running.stderr.read()
    assert said == b""
