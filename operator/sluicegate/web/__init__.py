"""The portfolio page: a separate process that reads products and reviews, and only writes signatures."""
