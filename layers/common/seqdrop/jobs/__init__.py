"""Run tools in containers: the code that only jobs need."""
