"""`seqdrop check`: every precondition of a run in one table, before the first FASTQ."""
