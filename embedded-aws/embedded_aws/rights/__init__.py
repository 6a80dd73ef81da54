"""Enforce the identity policies of the roles of a template, for the requests of functions and jobs."""

from .needs import needs_of
from .roles import Roles, roles
from .statements import Need

__all__ = ["Need", "Roles", "needs_of", "roles"]
