"""The protocol, the metrics, and what a difference between two runs means."""
