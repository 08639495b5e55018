"""`sluicegate run`: the operator itself, configured by the environment."""

import argparse
import logging
import os
from collections.abc import Mapping
from typing import NoReturn

from sluicegate import handlers
from sluicegate.kube.kubeconfig import Selection, check_kubeconfig
from sluicegate.manager import Program
from sluicegate.runtime.logs import JsonFormatter, TextFormatter, configure_logging
from sluicegate.settings import LogFormat, parse_settings
from sluicegate.wiring import PROGRAM


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare no arguments: a Deployment configures the operator by environment variables."""
    parser.epilog = "Configured by SLUICEGATE_* environment variables, see docs/settings.md."


def run(_: argparse.Namespace) -> NoReturn:
    """Run until SIGTERM, and end the process."""
    run_program(PROGRAM, os.environ)


def run_program(program: Program, environment: Mapping[str, str]) -> NoReturn:
    """Run a program of the runtime until SIGTERM, and end the process.

    Parameters
    ----------
    environment
        Variables that configure it.

    Raises
    ------
    InvalidSettings
        With all variables that can't be used.
    InvalidInput
        The process runs in no pod, and no kubeconfig can be read.
    """
    settings = parse_settings(environment)
    check_kubeconfig(Selection(), environment)
    as_json = settings.log_format is LogFormat.JSON
    configure_logging(settings.log_level, JsonFormatter() if as_json else TextFormatter())
    handlers.run(settings, program)
    # All is closed; a normal end would wait for threads that wait for Prometheus.
    logging.shutdown()
    os._exit(0)
