"""The wrapper that joins the calls of several samples, and its image."""
