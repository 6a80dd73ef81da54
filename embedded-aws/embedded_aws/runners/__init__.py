"""Execute Batch jobs: as processes, or as containers where a Docker engine holds the images."""

from .interface import Attempt, JobSpec, Mount, Runner, StartError
from .selection import Selection, select

__all__ = ["Attempt", "JobSpec", "Mount", "Runner", "Selection", "StartError", "select"]
