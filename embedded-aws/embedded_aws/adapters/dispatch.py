"""The service of a request is looked up once for each host name.

moto lists the folders of its package for every request (moto_server/werkzeug_app.py: get_backend_for_host), while all
other requests wait for its lock.
"""

from functools import cache

from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from embedded_aws.patches import patch

_find = DomainDispatcherApplication.get_backend_for_host
_find_once = cache(_find)


def install() -> None:
    """Patch moto."""
    patch(DomainDispatcherApplication, "get_backend_for_host", _find_once, source="cfc8854e")
