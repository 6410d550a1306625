"""Interactions, profiles and items: from files to one shard for each client."""
