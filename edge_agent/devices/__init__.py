"""From a device's bytes to readings: links, dialogues, and the catalogue of drivers."""
