"""`edge-agent keys`: this booth's identity."""
