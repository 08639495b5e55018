"""The ledger of each product and period: days of counts, decisions and versions.

Updated daily, sealed and signed.
"""
