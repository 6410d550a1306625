"""One experiment: from a TOML file to a run folder."""
