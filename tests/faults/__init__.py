"""Faults that people and machines make, tried on the real thing by the hundred: python -m tests.faults --help."""
