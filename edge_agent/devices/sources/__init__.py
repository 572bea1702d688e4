"""Devices whose protocol a library speaks, and which owns the input and output: one file each."""
