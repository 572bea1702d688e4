"""`edge-agent expected`."""
