"""A synthetic market of used cars in six European countries.

It replaces the data warehouse of a marketplace: offers, sales, searches of visitors and the cars
that they opened. Everything is drawn from documented equations by seed and day, so a model's
traffic and its training data come from the same market, and a named shock changes both.
"""

from used_car_market.cars import Cars
from used_car_market.market import Market, MarketError
from used_car_market.prices import Sales, draw_sales, fair_price
from used_car_market.searches import Searches, draw_searches
from used_car_market.shocks import SHOCKS, Shock

__all__ = [
    "SHOCKS",
    "Cars",
    "Market",
    "MarketError",
    "Sales",
    "Searches",
    "Shock",
    "draw_sales",
    "draw_searches",
    "fair_price",
]
