"""Commands of those who review products: reports, reviews, dossiers, archives."""
