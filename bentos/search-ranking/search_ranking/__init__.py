"""The search-ranking product: which cars of a search result to show first."""
