"""Reports on reviews: facts from ledgers, and the same as HTML, Markdown, CSV and JSON. Pure."""
