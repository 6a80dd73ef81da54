"""The wrapper of the preparation of a reference, and its image."""
