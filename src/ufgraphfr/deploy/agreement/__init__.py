"""What the operators of nodes sign off, and what follows from it."""
