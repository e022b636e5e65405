"""From the source of a feature group to its published partitions."""
