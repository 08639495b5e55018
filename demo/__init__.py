"""`make demo`: the whole loop on a real cluster, by public fields and the chart's settings only.

Two sample products are served, the market moves away from one of them, and what the operator
does about it is shown as it happens. Nothing in the operator knows that this is a demonstration.
"""
