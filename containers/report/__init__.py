"""The wrapper that builds the report of a run, and its image."""
