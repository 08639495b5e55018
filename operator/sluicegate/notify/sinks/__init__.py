"""Senders to receivers: HTTP for CloudEvents and Alertmanager, Apprise for chat and mail."""
