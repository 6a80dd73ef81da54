"""The wrapper of MultiQC, and its image."""
