"""The only package that talks to an OCI registry."""
