"""Commands of those who run the operator: its programs, its checks of a cluster, its CRDs."""
