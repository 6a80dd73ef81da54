"""Fault injection: the faults file, the faults that are due, and those that were injected."""

from .faults_file import CallFault, FaultsError, FaultsFile, JobFault, read
from .injector import AttemptFault, FaultInjector

__all__ = ["AttemptFault", "CallFault", "FaultInjector", "FaultsError", "FaultsFile", "JobFault", "read"]
