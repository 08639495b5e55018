"""The world that the learner's questions come from. It can turn; one answer in ten is noise."""

import numpy as np

NOISE = 0.1
WORLDS = {"before": np.array([1.0, 1.0, 1.0]), "after": np.array([1.0, -1.0, -1.0])}


def draw(world: str, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Questions, a row each, and their true answers."""
    generator = np.random.default_rng(seed)
    questions = generator.normal(size=(rows, 3))
    noise = generator.random(rows) < NOISE
    return questions, (questions @ WORLDS[world] > 0) ^ noise
