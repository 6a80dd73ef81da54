"""Reads: FASTQ files parsed and verified."""
