"""The wrapper of bcftools, and its image."""
