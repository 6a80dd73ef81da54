"""Wrappers: the program that each image runs, one folder for each tool."""
