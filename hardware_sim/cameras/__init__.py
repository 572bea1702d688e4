"""Cameras of the lane: what they see, and how it is served."""
