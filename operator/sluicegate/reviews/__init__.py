"""Keeps the ledgers of all products: opens, writes once a day, seals, and follows signatures."""
