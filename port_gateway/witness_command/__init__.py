"""A witness of our own, and what the port shows of those that it asks."""
