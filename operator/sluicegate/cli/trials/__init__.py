"""Commands that try a policy before it is applied: plans, recordings, replays, estimates."""
