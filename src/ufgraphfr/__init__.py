"""Federated recommendation that is accurate, private by proof, and deployable."""

__version__ = "0.2.0"
