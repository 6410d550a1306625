"""Interactions, profiles and items: from files to what each client holds."""
