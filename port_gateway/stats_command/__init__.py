"""`port-gateway stats`."""
