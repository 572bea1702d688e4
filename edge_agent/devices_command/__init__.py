"""`edge-agent devices`: what is attached, what it says now, and a recording of it."""
