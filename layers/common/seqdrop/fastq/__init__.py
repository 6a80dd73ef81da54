"""Parse and verify FASTQ files."""
