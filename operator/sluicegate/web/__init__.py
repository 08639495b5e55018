"""The portfolio page: a process of its own that reads products and reviews, and writes signatures alone."""
