"""`seqdrop stop`: stop a run and its jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from seqdrop_cli import run_table
from seqdrop_cli.errors import CliError, describe_aws_error
from seqdrop_cli.screen import say
from seqdrop_cli.stack import Stack


def stop(stack: Stack, row: Mapping[str, Any]) -> dict[str, str]:
    """Stop the execution of a run; return the run and its execution. Raise CliError if it does not run."""
    execution = run_table.execution_of(row)
    status = stack.status_of(execution)
    if status is None:
        raise CliError(f"Run {row['run']} has no execution: there is nothing to stop.")
    if status != "RUNNING":
        raise CliError(f"Run {row['run']} has already ended ({status}): there is nothing to stop.")
    try:
        stack.stepfunctions.stop_execution(executionArn=execution, error="STOPPED", cause="Stopped with `seqdrop stop`")
    except ClientError as error:
        raise CliError(f"Run {row['run']} could not be stopped. {describe_aws_error(error)}") from None
    say(f"Run {row['run']} is being stopped, and its jobs with it: `seqdrop status {row['run']}{stack.option}`.")
    return {"run": str(row["run"]), "execution": execution}
