"""Days that are past: backfills, restatements, and the story of how a partition came to be."""
