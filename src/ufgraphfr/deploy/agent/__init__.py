"""The shard agent: a process next to the data, the only one that reads it."""
