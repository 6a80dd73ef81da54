"""Send no CORS header: moto lets the pages of every web site read its responses (moto_server/werkzeug_app.py:301)."""

from moto.moto_server import werkzeug_app

from embedded_aws.patches import patch


def install() -> None:
    """Patch moto."""
    patch(werkzeug_app, "DISABLE_GLOBAL_CORS", True, source="60a33e6c")
