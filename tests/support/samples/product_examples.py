"""A DataProduct with every field, and changes of it."""

from __future__ import annotations

import copy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

EXAMPLE = Path(__file__).parents[2] / "data" / "products" / "search-ranking.yaml"
REMOVED = object()
HEX = "c" * 64

Change = dict[str, Any]
"""New values by path (`spec.slos.0.objective`); REMOVED takes a field away."""


def example() -> dict[str, Any]:
    """Return the full example, fresh."""
    return copy.deepcopy(_read())


@cache
def _read() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text(encoding="utf-8"))
    return document


def changed(change: Change) -> dict[str, Any]:
    """Return the example with this change."""
    document = example()
    for path, value in change.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        target: Any = document
        for part in parents:
            target = target.setdefault(part, {}) if isinstance(target, dict) else target[part]
        if value is REMOVED:
            del target[last]
        else:
            target[last] = copy.deepcopy(value)
    return document


BENTO_URL = {
    "spec.model.bento.image": REMOVED,
    "spec.model.bento.url": "https://files.example/search.tar",
}


def full_status() -> dict[str, Any]:
    """Return a status with every part that the operator can report."""
    time = "2026-01-01T09:00:00Z"
    counts = {"accuracy": {"bad": 83, "total": 1000}}
    rows = {"bothRight": 880, "onlyStableWrong": 37, "onlyCandidateWrong": 31, "bothWrong": 52}
    pairs = {"accuracy": rows}
    baseline = {
        "accuracy": {
            "bad": 80, "total": 1000, "startTime": time, "endTime": time, "source": "Evaluation", "dispersion": "1.2",
            "daily": True, "pods": "2.5", "weekdays": [{"bad": 0, "total": 1}] * 7, "indicatorHash": "ab",
        },
        "revenue": {
            "bad": 0, "total": 0, "startTime": time, "endTime": time, "source": "Production", "dispersion": "1", "hourDispersion": "1.4",
            "daily": False, "mean": "0.41", "deviation": "0.02",
        },
    }  # fmt: skip
    version = {
        "version": "v1", "image": f"registry.example/a@sha256:{HEX}", "service": "A",
        "runtimeImage": "registry.example/rt:1", "revision": "0123456789", "source": "Spec", "cause": "ModelDecay",
        "causeSlo": "accuracy", "causeMarket": "AT", "descendsFrom": "registry.example/m:1",
        "iteration": {"hypothesis": "…", "author": "ana", "ticket": "ML-7", "gitRevision": "0a1b2c3"},
        "apiChanges": {"added": ["POST /rank"], "broken": ["POST /a is removed"], "deprecated": ["POST /b"]},
        "evaluation": counts, "stableEvaluation": counts, "pairs": pairs,
    }  # fmt: skip
    verdict = {
        "type": "Promote", "reason": "CanaryNotWorse", "message": "…",
        "weight": 50, "trafficSeconds": 900,
        "slos": [{
            "name": "accuracy", "indicator": "outcomes", "candidate": {"bad": 8, "total": 90},
            "stable": {"bad": 20, "total": 90}, "markets": {"AT": [4, 50, 12, 50]}, "dispersion": "1.2", "holdOut": True,
        }],
    }  # fmt: skip
    streak = {"first": 1, "last": 3, "evaluations": 3, "fresh": 2}
    trigger = {
        "id": "0a1b2c3d", "cause": "ModelDecay", "slo": "accuracy", "indicator": "outcomes",
        "market": "AT", "version": "v1", "firstBadBlockTime": time, "changeTime": time, "acceptedShare": "0.115", "message": "0.86 of 900", "triggerTime": time,
        "iteration": {"hypothesis": "…", "author": "ana", "ticket": "ML-7", "gitRevision": "0a1b2c3"},
    }  # fmt: skip
    return {
        "observedGeneration": 3,
        "conditions": [{
            "type": "Ready", "status": "True", "reason": "Serving", "message": "v1 serves",
            "observedGeneration": 3, "lastTransitionTime": time,
        }],
        "state": "Degraded",
        "summary": {"slo": "accuracy Missed", "canary": "v2@25", "markets": "FR,BE", "reason": "ModelRejected",
        },
        "specModel": {
            "image": version["image"], "version": "v1", "runtimeImage": "registry.example/rt:1",
            "outcome": "RolledBack", "reason": "CanaryWorse", "outcomeTime": time,
        },
        "stable": version | {
            "promotionTime": time, "restored": True, "baseline": baseline, "verdict": verdict,
            "shares": [{"weight": 5, "startTime": time}],
        },
        "candidate": version | {
            "version": "v2", "source": "Retraining", "phase": "Stepping", "step": 2, "weight": 25,
            "shares": [{"weight": 5, "startTime": time}, {"weight": 25, "startTime": time}],
            "startTime": time, "firstTrafficTime": time, "retryTime": time, "retries": 1,
            "waitStartTime": time, "target": 25, "capacity": 4, "returning": 25, "suspendTime": time, "suspendedSeconds": 60, "expectedSeconds": 1200,
            "derived": {"steps": [25, 50], "maxDurationSeconds": 14400, "message": "3 requests a minute"},
            "hold": {
                "check": "ObjectiveNotMet", "startTime": time, "message": "…", "request": "sluicegate.dev/promote=v2/1",
            },
            "approvals": {
                "id": "0123456789-1767225600", "waitingFor": ["catalog/search"], "waitStartTime": time, "silenceTime": time,
                "moreAnswers": 1, "moreWaiting": 1, "absent": ["catalog/search"], "silenceCountsAs": "Agreement", "heldSilence": "Agreement",
                "answers": [{
                    "party": "DataProductManager", "verdict": "Agree", "user": "acb", "reason": "…", "answerTime": time,
                    "evidence": "…", "problem": "…",
                }],
            },
            "trigger": "0a1b2c3d", "dataEndTime": time,
            "shadow": {
                "sinceTime": time, "untilTime": time, "job": "a-shadow-0a1b2c3d-2", "startedJobs": 2,
                "startTime": time, "blocks": 1, "reason": "NoSlot", "message": "…",
                "evidence": [{
                    "slo": "accuracy", "termsHash": "ef", "blocks": 1, "pairs": pairs["accuracy"],
                    "squares": "0.25", "correlation": "0.07", "promote": "1.2", "rollBack": "-0.4", "better": "0.3",
                }],
            },
            "restoring": True, "requested": True,
            "decisionReason": "CanaryWorse",
            "decisionMessage": "…", "api": "Kept",
            "evidence": [{
                "slo": "accuracy", "required": True, "promote": "1.2", "promoteAt": "3.0",
                "rollBack": "-0.4", "rollBackAt": "4.1", "candidateBad": 3, "candidateTotal": 40,
                "stableBad": 90, "stableTotal": 900, "markets": {"AT": [30, 500, 40, 450]}, "dispersion": "1",
            }],
        },
        "pendingRequests": [{
            "annotation": "sluicegate.dev/promote", "value": "v2/1", "waitStartTime": time,
            "reason": "Suspended", "message": "until spec.suspend is unset",
        }],
        "history": [version | {
            "version": "v0", "outcome": "Replaced", "reason": "Promoted", "promotionTime": time,
            "restored": False, "endTime": time, "baseline": baseline, "record": counts,
            "verdict": verdict, "degraded": ["accuracy"], "shares": [{"weight": 5, "startTime": time}],
        }],
        "probation": {
            "version": "v1", "against": "v0", "startTime": time, "shownBetter": ["accuracy"],
        },
        "retraining": {
            "trigger": trigger, "pending": trigger, "waitingFor": "NoSlot", "attempt": 2, "startedAttempts": 2,
            "job": "a-train-0a1b2c3d-2", "startTime": time, "admissionTime": time, "unsuccessfulAttempts": 1, "nextAllowedTime": time,
            "attemptsWithoutRemedy": 1, "unsuccessfulChallengers": 2, "lostJobs": 1, "retryTime": time,
            "inputs": "0a1b2c3d4e5f",
            "suspended": False, "lastTrainingTime": time, "previousTrainingTime": time, "lastDurationSeconds": 300, "lastReason": "WorseOnHoldOut",
            "lastResult": {
                "outcome": "Rejected", "reason": "WorseOnHoldOut", "message": "…", "version": "v2",
                "image": version["image"], "evaluation": counts, "stableEvaluation": counts, "pairs": pairs,
                "completionTime": time,
            },
            "stableScore": {
                "version": version["version"], "evaluation": counts, "live": counts, "liveShare": "1",
                "startTime": time, "endTime": time, "changeTime": time, "inputs": "0a1b2c3d4e-0a1b2c3d4e", "alone": True,
                "featureDifferences": {"compared": 12, "largest": ["…"]},
            },
            "lastJob": {"job": "a-train-0a1b2c3d-1", "startTime": time, "endTime": time, "requests": {"cpu": "2"}},
        },
        "slos": [{
            "name": "accuracy", "state": "Missed", "reason": "BaselineDropped", "message": "…",
            "ratio": "0.86", "bad": 126, "total": 900, "objective": "0.9",
            "budgetRemaining": "-0.4", "baselineRatio": "0.92", "drop": "0.06",
            "interval": ["0.04", "0.08"],
            "degraded": True,
            "markets": [{
                "market": "AT", "state": "Missed", "ratio": "0.81", "interval": ["0.75", "0.86"], "total": 211,
                "limit": "0.9", "budgetRemaining": "-0.9", "missedStartTime": time,
            }],
        }],
        "decision": {"type": "Retrain", "reason": "ModelDecay", "message": "…", "decisionTime": time},
        "diagnosis": {
            "cause": "ModelDecay", "market": "AT", "message": "…", "diagnosisTime": time,
            "evidence": [{"check": "UpstreamDegraded", "verdict": "Clear", "message": "…"}],
        },
        "dependencies": [
            {"namespace": "pricing", "name": "pricing", "state": "Healthy", "inCycle": False},
        ],
        "writtenBy": {
            "namespace": "platform", "lease": "sluicegate", "scope": "Cluster", "version": "1.2.3",
        },
        "traffic": {
            "mode": "Gateway", "weight": 25, "verification": "Observed", "writeTime": time, "acceptanceTime": time,
            "observedShare": "0.24", "requests": 900, "routeRemovalTime": time,
        },
        "lastHandled": {
            "retrainRequestedAt": "a", "rollbackTo": "v0/b", "promote": "c", "abort": "d",
        },
        "problems": ["spec.owner: is required: set it"],
        "lastRefreshTime": time,
        "engine": {
            "lastKnownState": "Degraded", "outageStartTime": time, "emittedAlerts": ["accuracy"],
            "absences": [{"startTime": time, "endTime": time}],
            "slos": {"accuracy": {
                "streak": streak, "recoveryStreak": streak, "degraded": True, "steadyStartTime": time,
                "evidenceStartTime": time, "disturbanceStartTime": time, "missedMarkets": {"AT": time}, "termsHash": "ef",
                "ignoredIntervals": [{"startTime": time, "endTime": time}],
            }},
            "originalBaseline": {"version": "v0", "slos": baseline},
            "probationBaselines": baseline, "candidateBaselines": baseline,
            "correlation": {"accuracy": "0.01"}, "labelSettling": {"accuracy": 3600}, "trafficReturnTime": time, "triedMarkets": ["AT"],
        },
    }  # fmt: skip
