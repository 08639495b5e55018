"""The types of the `DataProduct` resource, which are the domain types, and its names."""
