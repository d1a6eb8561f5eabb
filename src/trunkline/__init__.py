"""Trunkline runs a telecom operator's AI in production."""
