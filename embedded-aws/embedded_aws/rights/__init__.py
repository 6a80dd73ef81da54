"""Enforce the identity policies of the roles of a template, for the requests of functions and jobs."""

from .needs import needs_of
from .roles import Roles, roles

__all__ = ["Roles", "needs_of", "roles"]
