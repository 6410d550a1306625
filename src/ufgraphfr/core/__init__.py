"""The vocabulary every layer speaks: errors, specs, keys, rows, messages."""
