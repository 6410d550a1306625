"""Audits: attacks on what a run lets out, and what its guarantee allows them to find."""
