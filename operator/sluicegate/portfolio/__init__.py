"""All products at once: which need a person, how each does, by market, and who depends on whom. Pure."""
