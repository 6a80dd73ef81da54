"""Classify the failures of a run and say what to do about them."""
