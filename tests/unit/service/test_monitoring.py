"""Values that a service monitors with BentoML, in a pod that may write below BENTOML_HOME alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SERVICE = """
import sys
from pathlib import Path

import bentoml
from bentoml._internal.configuration.containers import BentoMLContainer

from sluicegate_service import monitoring

monitoring.LARGEST_FILE = 2000
configured = BentoMLContainer.config.monitoring
if sys.argv[2:]:
    configured.options.log_path.set(sys.argv[2])
monitoring.redirect(configured, Path(sys.argv[1]))
for number in range(200):
    with bentoml.monitor("prices") as monitor:
        monitor.log(number, name="price", role="prediction", data_type="numerical")
"""


def monitored(tmp_path: Path, *path: str) -> None:
    """Monitor 200 values in a process whose working directory is read-only, as a pod's."""
    bento = tmp_path / "bento"
    bento.mkdir()
    (bento / "monitoring").write_text("in the way")  # as for any user, root included
    environment = os.environ | {
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(tmp_path / "home"),
    }
    command = [sys.executable, "-c", SERVICE, str(tmp_path / "home"), *path]
    done = subprocess.run(
        command, cwd=bento, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_monitored_values_are_written_to_bounded_files_below_bentoml_home(tmp_path):
    monitored(tmp_path)
    files = sorted((tmp_path / "home" / "monitoring" / "prices" / "data").iterdir())
    assert [file.name for file in files] == ["data.0.log", "data.0.log.1"]
    assert all(file.stat().st_size <= 2000 for file in files)
    newest = json.loads(files[0].read_text(encoding="utf-8").splitlines()[-1])
    assert newest["price"] == 199


@pytest.mark.slow
def test_an_absolute_monitoring_path_of_the_service_is_kept(tmp_path):
    monitored(tmp_path, str(tmp_path / "own"))
    assert (tmp_path / "own" / "prices" / "data" / "data.0.log").is_file()
    assert not (tmp_path / "home" / "monitoring").exists()
