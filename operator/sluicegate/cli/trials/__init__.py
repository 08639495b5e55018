"""Commands for trials of a policy before it is applied: plans, recordings, replays, estimates."""
