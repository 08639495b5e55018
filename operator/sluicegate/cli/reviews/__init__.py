"""Commands for people who review products: reports, reviews, dossiers, archives."""
