"""The only package that talks to Prometheus."""
