"""The command line `seqdrop`."""
