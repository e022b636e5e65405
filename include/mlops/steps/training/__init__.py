"""From published partitions to a registered version, and the same again from its record."""
