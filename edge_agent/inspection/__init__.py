"""Joins what the devices of a lane say into one inspection a vehicle. Pure: no input or output, no clock."""
