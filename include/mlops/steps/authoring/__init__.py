"""What helps a user to write specifications: starts from real rows, and trials on them."""
