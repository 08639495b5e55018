"""The ledger of each product and period: days of counts, decisions and versions, written once a day, sealed and signed."""
