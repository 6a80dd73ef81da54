"""The wrapper of the job with all steps of a run, and its image."""
