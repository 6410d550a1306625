"""What the model becomes under a privacy budget."""
