"""What judges a staged partition: Arrow where the verdict is sure to be the same, else Great Expectations."""
