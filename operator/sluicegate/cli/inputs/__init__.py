"""What commands are given: files of products and bentos, names of objects, a cluster."""
