"""What travels between server and agents, and what carries it."""
