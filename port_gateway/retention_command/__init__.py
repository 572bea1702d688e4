"""`port-gateway retention` and `about`: what people type."""
