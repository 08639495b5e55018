"""The nouns of a decision: what a product is judged by, what is known of it, what may be decided."""
