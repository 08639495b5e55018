"""Random lives of products on virtual time: what happens, what must hold, and how one is shrunk."""
