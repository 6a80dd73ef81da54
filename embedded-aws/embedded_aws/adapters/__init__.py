"""One file for each thing moto lacks; install() puts all of them in place, before the first request."""

from pathlib import Path

from . import (
    batch_jobs,
    delivery,
    events_bus,
    events_schedules,
    lambda_async,
    lambda_invocations,
    s3_checksums,
    s3_notifications,
    s3_ranges,
    s3_whole_objects,
    sfn_clients,
    sfn_error_names,
    sfn_executions,
    sfn_mock_config,
    sfn_parameters,
    sfn_paths,
    sfn_retries,
    sfn_status_events,
    sfn_sync_tasks,
)


def install(machine: batch_jobs.Machine, scratch: Path) -> None:
    batch_jobs.install(machine)
    lambda_invocations.install(scratch)
    for adapter in (
        delivery,
        events_bus,
        events_schedules,
        lambda_async,
        s3_whole_objects,
        s3_checksums,
        s3_notifications,
        s3_ranges,
        sfn_clients,
        sfn_parameters,
        sfn_paths,
        sfn_retries,
        sfn_sync_tasks,
        sfn_error_names,
        sfn_mock_config,
        sfn_executions,
        sfn_status_events,
    ):
        adapter.install()


def close() -> None:
    lambda_invocations.close()
