"""The wrapper of snpEff, and its image."""
