"""The embedded AWS from its template to its state file, and the undo of every step at the end."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import adapters, aws, server_folder, template
from .adapters.batch_capacity import Capacity
from .adapters.batch_jobs import BatchHost
from .adapters.lambda_pool import Limits
from .faults import FaultInjector, FaultsFile, scratch_disk
from .keys import keys
from .resources import CREATORS
from .runners import Selection, select
from .server import Server
from .stack import Stack
from .state_file import VOLUMES, StateFile
from .template import Template


@dataclass(frozen=True)
class Options:
    """Options of the command line."""

    template: Path
    stack: str
    state: Path
    port: int
    executor: str
    parameters: dict[str, str]
    vcpus: float
    workers: Limits
    faults: FaultsFile
    preload: tuple[str, ...] = ()  # modules

    @property
    def volumes(self) -> Path:
        """Folder behind the host paths that jobs mount."""
        return self.state / VOLUMES


@contextmanager
def serve(options: Options) -> Iterator[dict[str, Any]]:
    """Deploy the template and serve it for the block; yield the content of the state file."""
    with ExitStack() as undo:
        state_file = StateFile(options.state, options.stack)
        parsed = template.read(options.template, options.parameters)
        server_folder.remove_stale()
        folder = undo.enter_context(server_folder.create())
        selection = select(options.executor, images(parsed, options), folder, options.preload)
        injector = FaultInjector()
        server = Server(options.port, injector)
        undo.callback(server.close)
        if selection.gateway:
            server.listen_on_bridge(selection.gateway, selection.runner.host)
        create_volumes(options, undo)
        host = BatchHost(selection.runner, Capacity(options.vcpus), options.volumes, injector)
        adapters.install(host, folder, options.workers)
        undo.callback(selection.runner.close)
        undo.callback(adapters.close)
        stack = Stack(options.stack, parsed, options.parameters, CREATORS)
        outputs = stack.deploy()
        adapters.unpack_functions(folder)
        server.record.register(stack, outputs)
        injector.load(options.faults)  # last, so that no fault hits the deployment
        state = describe(server, stack, selection, outputs)
        undo.callback(state_file.remove)
        state_file.write(state)
        yield state


def images(parsed: Template, options: Options) -> set[str]:
    """Return the images of the job definitions; create no resource."""
    stack = Stack(options.stack, parsed, options.parameters, {})
    definitions = [
        resource for resource in parsed.resources.values() if resource["Type"] == "AWS::Batch::JobDefinition"
    ]
    return {str(stack.resolve(definition["Properties"]["ContainerProperties"]["Image"])) for definition in definitions}


def create_volumes(options: Options, undo: ExitStack) -> None:
    """Empty the folder for volumes, which a killed server may have left, and mount the scratch disk if there is one."""
    scratch_disk.unmount(options.volumes)
    shutil.rmtree(options.volumes, ignore_errors=True)
    undo.callback(shutil.rmtree, options.volumes, ignore_errors=True)
    options.volumes.mkdir(mode=0o700)  # jobs' folders inside are for every user: containers have users of their own
    if options.faults.scratch_mib:
        scratch_disk.mount(options.volumes, options.faults.scratch_mib)
        undo.callback(scratch_disk.unmount, options.volumes)


def describe(server: Server, stack: Stack, selection: Selection, outputs: dict[str, str]) -> dict[str, Any]:
    """Return the content of the state file."""
    return {
        "pid": os.getpid(),
        "endpoint": aws.endpoint(),
        "port": server.port,
        "region": aws.REGION,
        "access_key_id": keys().server.id,
        "secret_access_key": keys().server.secret,
        "stack": stack.name,
        "executor": selection.name,
        "executor_reason": selection.reason,
        "parameters": stack.parameters,
        "outputs": outputs,
        "skipped": stack.skipped,
    }
