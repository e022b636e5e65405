"""What partitions are made from: whether it is there, whether it changed since, and what was made from it."""
