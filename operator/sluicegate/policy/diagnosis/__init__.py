"""Why a product is degraded, and what cures it."""
