"""One module for each gap in moto, installed before the first request."""

from pathlib import Path

from . import (
    batch_arrays,
    batch_describe,
    batch_jobs,
    cors,
    delivery,
    dispatch,
    dynamodb_queries,
    events_bus,
    events_schedules,
    json_structures,
    lambda_async,
    lambda_invocations,
    lambda_packages,
    lambda_pool,
    s3_checksums,
    s3_event_bridge,
    s3_listings,
    s3_notifications,
    s3_object_metadata,
    s3_ranges,
    sfn_choices,
    sfn_clients,
    sfn_error_names,
    sfn_executions,
    sfn_mock_config,
    sfn_parameters,
    sfn_parser,
    sfn_paths,
    sfn_retries,
    sfn_status_events,
    sfn_sync_tasks,
    sqs_event_sources,
    sqs_locks,
    sts_roles,
)

ADAPTERS = (
    cors,
    dispatch,
    dynamodb_queries,
    batch_arrays,
    batch_describe,
    batch_jobs,
    lambda_invocations,
    events_bus,
    json_structures,
    lambda_async,
    s3_object_metadata,
    s3_checksums,
    s3_event_bridge,
    s3_listings,
    s3_notifications,
    s3_ranges,
    sfn_choices,
    sfn_clients,
    sfn_parameters,
    sfn_parser,
    sfn_paths,
    sfn_retries,
    sfn_sync_tasks,
    sfn_error_names,
    sfn_mock_config,
    sfn_executions,
    sfn_status_events,
    sqs_locks,
    sqs_event_sources,
    sts_roles,
)


def install(host: batch_jobs.BatchHost, scratch: Path, workers: lambda_pool.Limits) -> None:
    """Patch moto and start the threads of the adapters; raise PatchError if moto's source has changed."""
    patch_moto()
    batch_jobs.BatchJob.host = host
    lambda_invocations.start(scratch, workers)
    delivery.start()
    events_schedules.start()


def patch_moto() -> None:
    """Install every adapter; raise PatchError if the source of moto has changed."""
    for adapter in ADAPTERS:
        adapter.install()


def unpack_functions(scratch: Path) -> None:
    """Unpack the code of all functions, so that a disk without space for it is reported before the first call."""
    lambda_packages.unpack_all(scratch)


def close() -> None:
    """End the workers of all functions."""
    lambda_invocations.close()
