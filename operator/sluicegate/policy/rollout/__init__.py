"""The rollout of a candidate, from its start to its outcome: the phases, and who leads to each."""
