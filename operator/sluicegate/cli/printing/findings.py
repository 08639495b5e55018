"""Findings of checks in documents that programs read."""

from collections.abc import Iterable

from sluicegate.cli.printing.junit import JunitCase
from sluicegate.cli.printing.output import Document, document
from sluicegate_service.findings import Finding, Severity


def blocking_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that prevent a bento from running."""
    return [finding for finding in findings if finding.severity is Severity.ERROR]


def findings_document(findings: Iterable[Finding]) -> Document:
    """Return findings as a document of the plugin's own."""
    return document(
        "Findings",
        findings=[
            {"severity": str(finding.severity), "where": finding.where, "message": finding.message}
            for finding in findings
        ],
    )


def findings_case(name: str, findings: Iterable[Finding]) -> JunitCase:
    """Return findings about one subject as a case; those that prevent it from running fail it."""
    finding_list = list(findings)
    blocking = blocking_findings(finding_list)
    return JunitCase(
        name,
        failures=tuple(finding.line() for finding in blocking),
        notes=tuple(finding.line() for finding in finding_list if finding not in blocking),
    )
