"""From a camera's frame to plate and container-code observations."""
