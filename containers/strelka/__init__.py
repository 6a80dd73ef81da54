"""The wrapper of Strelka, and its image."""
