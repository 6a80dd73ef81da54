"""What really executes a Batch job: a process, or a container where an engine holds the images."""

from .choice import Choice, choose
from .contract import Attempt, JobSpec, Mount, Runner, StartError

__all__ = ["Attempt", "Choice", "JobSpec", "Mount", "Runner", "StartError", "choose"]
