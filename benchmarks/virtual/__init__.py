"""The whole operator on virtual time, in one process: its cluster, its Prometheus, its clocks."""
