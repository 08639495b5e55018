"""The search-ranking product: orders the cars of a search result."""
