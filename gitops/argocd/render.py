# ruff: noqa: INP001 - run by its path
"""Writes argocd-cm.yaml from the Lua beside it: `python gitops/argocd/render.py`; a test compares."""

from pathlib import Path
from typing import Any, Final

import yaml

HERE: Final = Path(__file__).parent
TARGET: Final = HERE / "argocd-cm.yaml"
HEAD: Final = """\
# Health and actions of DataProducts, to be merged into Argo CD's own ConfigMap:
#   kubectl -n argocd patch configmap argocd-cm --patch-file argocd-cm.yaml
# Written by gitops/argocd/render.py from the .lua files beside it.
"""


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _dump(document: Any) -> str:
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120)


def rendered() -> str:
    """The ConfigMap's patch."""
    actions = sorted(path for path in (HERE / "actions").glob("*.lua"))
    definitions = [
        {"name": path.stem, "action.lua": path.read_text(encoding="utf-8")}
        for path in actions
        if path.stem != "discovery"
    ]
    discovery = (HERE / "actions" / "discovery.lua").read_text(encoding="utf-8")
    customised = {
        "resource.customizations.health.sluicegate.dev_DataProduct": (
            (HERE / "health.lua").read_text(encoding="utf-8")
        ),
        "resource.customizations.actions.sluicegate.dev_DataProduct": _dump(
            {"discovery.lua": discovery, "definitions": definitions}
        ),
    }
    return HEAD + _dump({"data": customised})


if __name__ == "__main__":
    TARGET.write_text(rendered(), encoding="utf-8")
