"""Faults on order: what a faults file may ask for, what of it is still to come, and what has struck."""

from .armed import Armed, Mishap
from .document import CallFault, Document, FaultsError, JobFault, read

__all__ = ["Armed", "CallFault", "Document", "FaultsError", "JobFault", "Mishap", "read"]
