"""What failed, why, and what to do about it."""
