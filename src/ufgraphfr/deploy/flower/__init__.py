"""Flower as the engine: the only package here that imports it."""
