"""The item graph: dense for most catalogues, sparse for large ones."""
