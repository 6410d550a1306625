"""Deployment: the shard agent, the engine that carries its messages, and what runs them."""
