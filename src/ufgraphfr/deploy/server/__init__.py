"""The server's side of a deployment: one run over all nodes."""
