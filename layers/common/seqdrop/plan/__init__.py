"""What a run is: every name, address and setting, computed without I/O."""
