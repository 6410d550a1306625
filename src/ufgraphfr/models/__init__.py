"""Networks on stacked weights: every parameter has a leading ``clients`` axis."""
