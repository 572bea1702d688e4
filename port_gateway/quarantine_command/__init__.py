"""`port-gateway quarantine`."""
