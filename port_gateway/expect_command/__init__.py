"""`port-gateway expect`: what the port says will arrive."""
