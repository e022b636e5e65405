"""Predictions of the version that is live: written by either carrier, gated, published, exported."""
