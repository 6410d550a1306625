"""Audits: attacks on what a run lets out, and what its promise allows them to find."""
