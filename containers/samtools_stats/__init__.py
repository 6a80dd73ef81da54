"""The wrapper of samtools stats, and its image."""
