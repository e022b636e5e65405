"""The loop, played once for this package."""
