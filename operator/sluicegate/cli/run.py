"""`sluicegate run`: the operator itself, configured by the environment."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, NoReturn

from sluicegate import handlers
from sluicegate.runtime.logs import JsonFormatter, TextFormatter, configure_logging
from sluicegate.settings import LogFormat, parse_settings
from sluicegate.wiring import PROGRAM

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments: a Deployment configures by environment variables."""
    parser.epilog = "Configured by SLUICEGATE_* environment variables, see docs/settings.md."


def run(_: argparse.Namespace) -> NoReturn:
    """Run until SIGTERM, and end the process."""
    settings = parse_settings(os.environ)
    as_json = settings.log_format is LogFormat.JSON
    configure_logging(settings.log_level, JsonFormatter() if as_json else TextFormatter())
    handlers.run(settings, PROGRAM)
    # All is closed; the interpreter would wait for threads that wait for Prometheus.
    logging.shutdown()
    os._exit(0)
