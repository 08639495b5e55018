"""A product and a review that have a text wherever people write one: nothing of it may act."""

from __future__ import annotations

from tests.support.decisions.reviewed import document_of, sealed_month
from tests.support.portfolio.products import (
    condition,
    degraded,
    document,
    version,
    waiting_for_approval,
)

INDICATORS = [
    {"name": "availability", "indicator": {"availability": {}}, "objective": "0.999"},
    {"name": "accuracy", "indicator": {"outcomes": {}}, "objective": "0.88"},
]  # fmt: skip


def poisoned(text, name="bad"):
    """Return a product with this text in each free text of spec and status."""
    spec = {
        "displayName": text, "domain": text,
        "description": {"purpose": text, "limitations": text, "usage": text},
        "team": {"members": [{"username": text, "name": text, "role": "DataScientist"}]},
        "links": [{"type": "Runbook", "url": "https://wiki.example/a", "title": text}],
        "support": [{"channel": text, "url": "https://chat.example/a", "scope": text}],
        "businessGoals": [{"name": text, "target": "1"}],
        "dependsOn": [{"name": "other"}], "journeys": [{"name": "buy", "step": 1}],
        "slos": INDICATORS,
    }  # fmt: skip
    bad = degraded(text, text)
    for slo in bad["slos"]:
        slo |= {"name": text, "reason": text, "message": text}
        for market in slo.get("markets", ()):
            market["market"] = text
    bad["slos"] = bad["slos"][1:]
    candidate = waiting_for_approval(text)["candidate"] | {"decisionMessage": text}
    for slo in candidate["evidence"]:
        slo["slo"] = text
    past = version(text, outcome="Replaced", reason=text, promotionTime="2026-01-01T00:00:00Z",
                   endTime="2026-02-01T00:00:00Z")  # fmt: skip
    bad |= {
        "summary": {"slo": text, "canary": text, "markets": text, "reason": text},
        "stable": version(text, promotionTime="2026-02-01T00:00:00Z", image=f"{text}@sha256:{'a' * 64}"),
        "candidate": candidate, "history": [past], "problems": [text],
        "conditions": [condition("Degraded", "True", text, text), condition("Stalled", "True", text, text),
                       condition(text[:60], "True", text, text)],
        "decision": {"type": text, "reason": text, "message": text, "decisionTime": "2026-01-01T00:00:00Z"},
        "retraining": {
            "suspended": True, "job": text, "waitingFor": text, "lastReason": text,
            "trigger": {"id": "1", "cause": text, "slo": text, "version": text, "message": text,
                        "triggerTime": "2026-01-01T00:00:00Z"},
            "pending": {"id": "1", "cause": text, "version": text, "triggerTime": "2026-01-01T00:00:00Z"},
            "lastResult": {"outcome": "Failed", "reason": text, "message": text, "version": text,
                           "completionTime": "2026-01-01T00:00:00Z"},
        },
    }  # fmt: skip
    return document(name, spec=spec, status=bad)


def signed(text):
    """Return a review with this text in each field that people write."""
    review = document_of(sealed_month(11, wrong=0.1), notes=text)
    line = text.strip()
    review["spec"] |= {
        "decisions": [line], "attendees": [line],
        "actions": [{"title": line, "owner": line, "dueDate": "2026-11-20"}],
        "signOffs": [{"username": line, "role": "DataProductManager", "verdict": "Object",
                      "note": text, "signTime": "2026-12-02T00:00:00Z"}],
    }  # fmt: skip
    return review
