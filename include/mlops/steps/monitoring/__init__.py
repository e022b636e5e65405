"""What the nights say of a version: drift, realised performance, and whether to train anew."""
