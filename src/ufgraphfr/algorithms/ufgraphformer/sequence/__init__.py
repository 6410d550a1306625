"""The sequence Transformer: what a cohort trains on its devices, and how the server steps."""
