"""Commands for people who run the operator: its programs, its checks of a cluster, its CRDs."""
