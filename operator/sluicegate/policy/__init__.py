"""Decisions: pure functions of what was observed and of the time that is passed in."""
