"""Where the values of `bentoml.monitor` go, in a pod whose root file system is read-only.

BentoML writes what a service monitors below a relative path, so beside the bento: in a pod that is
read-only, and each request that monitors a value ends with 500. The files lie below BENTOML_HOME
instead, which is writable, and are bounded: they hold the newest values, and end with the pod. A
service that ships its values elsewhere configures another monitor, or another path. With a log of
predictions, the values are in its rows (logged_monitor.py).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

LARGEST_FILE: Final = 16 * 2**20
"""Bytes of a file; there are at most two of each monitor, and two with its columns."""
_HANDLER: Final = """\
    class: logging.handlers.RotatingFileHandler
    level: INFO
    formatter: bentoml_json
    maxBytes: {most}
    backupCount: 1
    filename: '{{{name}_filename}}'
"""
_CONFIGURATION: Final = """\
version: 1
disable_existing_loggers: false
loggers:
  bentoml_monitor_data: {level: INFO, handlers: [bentoml_monitor_data], propagate: false}
  bentoml_monitor_schema: {level: INFO, handlers: [bentoml_monitor_schema], propagate: false}
formatters:
  bentoml_json: {class: pythonjsonlogger.jsonlogger.JsonFormatter, format: '()', validate: false}
"""


def configuration() -> str:
    """Return the configuration of logging, as BentoML's default monitor reads it: with its file names left open."""
    handlers = "handlers:\n" + "".join(
        f"  bentoml_monitor_{name}:\n{_HANDLER.format(most=LARGEST_FILE, name=name)}"
        for name in ("data", "schema")
    )
    # BentoML fills in the names by str.format, so braces are doubled.
    return _CONFIGURATION.replace("{", "{{").replace("}", "}}") + handlers


LOGGED_MONITOR: Final = "sluicegate_service.logged_monitor.LoggedMonitor"
"""The class for a product with a log of predictions."""


def redirect(monitoring: Any, home: Path, *, logged: bool = False) -> None:
    """Let BentoML's default monitor write into the log of predictions, or below `home`.

    A service that configures another monitor, or an absolute path, keeps it.

    Parameters
    ----------
    monitoring : of BentoML's configuration. home : a writable folder.
    logged : whether the product has a log.
    """
    options = monitoring.options
    log_options = dict(options.get() or {})
    path = Path(str(log_options.get("log_path") or "monitoring"))
    if path.is_absolute():
        return
    if (
        logged
        and monitoring.type.get() in {None, "default"}
        and not log_options.get("log_config_file")
    ):
        monitoring.type.set(LOGGED_MONITOR)
        return
    folder = home / path
    folder.mkdir(parents=True, exist_ok=True)
    options.log_path.set(str(folder))
    if not log_options.get("log_config_file"):
        file = folder / "logging.yaml"
        file.write_text(configuration(), encoding="utf-8")
        options.log_config_file.set(str(file))
