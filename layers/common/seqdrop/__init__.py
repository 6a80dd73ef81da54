"""What every part of the pipeline shares."""
