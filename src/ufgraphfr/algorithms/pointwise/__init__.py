"""What the published family shares: pointwise training of touched item rows, and a score MLP."""
