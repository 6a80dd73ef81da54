"""A run whose answer is known: a genome made up, variants planted in it, reads simulated, calls counted."""
