"""Declare the option that chooses results: of `seqdrop fetch` and `seqdrop verify`."""

from __future__ import annotations

from typing import Annotated

import typer

from seqdrop_cli import download

KindsOption = Annotated[
    str, typer.Option(metavar="KINDS", help=f"Some of {', '.join(download.KINDS)}, with `,` between them.")
]
