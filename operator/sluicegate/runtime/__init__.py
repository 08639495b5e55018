"""Parts that any controller needs: a keyed queue, workers, a lease, resync, events, health."""
