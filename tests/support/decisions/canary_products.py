"""Products for simulations: an SLO a tuple of (name, objective, maxRegression)."""

from sluicegate.api.product import DataProduct
from sluicegate.policy.model.terms import Terms, terms_of

INDICATORS = {
    "availability": {"availability": {}},
    "latency": {"latency": {"thresholdMilliseconds": 250}},
    "accuracy": {"outcomes": {}},
    "events": {"events": {"lagSeconds": 3600}},
    "counters": {"counters": {"good": "clicks", "total": "searches", "lagSeconds": 600}},
    "promql": {
        "promql": {
            "good": "sum by (version) (increase(sold_total[$block]))",
            "total": "sum by (version) (increase(offered_total[$block]))",
        }
    },
}


def canary_terms(
    *slos: tuple[str, str, str], evidence: str = "Required", **rollout: object
) -> Terms:
    product = {
        "apiVersion": "sluicegate.dev/v1alpha1",
        "kind": "DataProduct",
        "metadata": {"name": "simulated"},
        "spec": {
            "owner": "group:default/catalog",
            "model": {
                "bento": {
                    "image": f"registry.example/m@sha256:{'0' * 64}",
                    "version": "v1",
                    "service": "S",
                }
            },
            "slos": [
                {
                    "name": name,
                    "indicator": INDICATORS[name],
                    "objective": objective,
                    "maxRegression": margin,
                    "canaryEvidence": evidence,
                }
                for name, objective, margin in slos
            ],
            "rollout": rollout,
        },
    }
    return terms_of(DataProduct.parse(product))
