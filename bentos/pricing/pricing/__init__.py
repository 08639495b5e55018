"""The pricing product: predicts the sale price of a used car."""
