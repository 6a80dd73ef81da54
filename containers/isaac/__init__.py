"""The wrapper of Isaac, and its image."""
