"""Arrays that travel or stand for item tables: dense, sparse, coarse, or as thin products."""
