"""The whole operator on virtual time, in one process, with its cluster, Prometheus and clocks."""
