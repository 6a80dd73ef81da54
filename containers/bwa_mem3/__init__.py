"""The wrapper of bwa-mem3, and its image."""
