"""What moto computes again for every request is computed once, or in less time.

- The service of a host name: moto lists the folders of its package (moto_server/werkzeug_app.py:
  get_backend_for_host), while all other requests wait for its lock.
- The operations of a service (core/utils.py: method_names_from_class): moto inspects the class that implements them.
- The list of all descriptions of services (core/loaders.py: create_loader): moto lists some 400 folders again for each
  service.
- The id of the request (moto_api/_internal/moto_random.py: get_random_string): moto chooses 52 letters one by one.
"""

import string
from functools import cache
from typing import Any

from moto.core import utils
from moto.moto_api._internal.moto_random import MotoRandom
from moto.moto_server.werkzeug_app import DomainDispatcherApplication

from embedded_aws.patches import patch, patch_imports

_find = DomainDispatcherApplication.get_backend_for_host
_find_once = cache(_find)
_create_loader_once = cache(utils.create_loader)
_list_methods_once = cache(utils.method_names_from_class)


def _random_string(self: Any, length: int = 20, include_digits: bool = True, lower_case: bool = False) -> str:
    text = "".join(self.choices(string.ascii_letters + string.digits * include_digits, k=length))
    return text.lower() if lower_case else text


def install() -> None:
    """Patch moto."""
    patch(DomainDispatcherApplication, "get_backend_for_host", _find_once, source="cfc8854e")
    patch_imports(utils, "method_names_from_class", _list_methods_once, source="dffccc6d", package="moto.")
    patch(utils, "create_loader", _create_loader_once, source="789ed39d")
    patch(MotoRandom, "get_random_string", _random_string, source="f9dbbea6")
