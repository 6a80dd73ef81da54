"""Run the pipeline on simulated reads with known variants, and compare the calls with them."""
