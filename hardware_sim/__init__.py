"""Stands in for every device of a lane. Written from the manuals, never from the agent's drivers."""
