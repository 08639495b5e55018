"""A small real BentoML service, mounted from a ConfigMap by the cluster tests."""

import bentoml


@bentoml.service
class Small:
    """Answers with twice what it is given."""

    @bentoml.api
    def double(self, number: int) -> int:
        """2 × number."""
        return 2 * number
