"""The ledger of a product: days of counts, decisions and versions of a period, sealed at its end."""
