"""The wrapper of bwa mem, and its image."""
