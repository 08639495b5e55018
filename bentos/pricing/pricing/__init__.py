"""The pricing product: what a used car will sell for."""
