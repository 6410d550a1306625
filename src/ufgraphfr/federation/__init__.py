"""Rounds: cohorts, the client function, transports, and what they move."""
