"""The whole AWS from template to state file, and the way back: what is started is registered to be undone."""

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import adapters, leftovers, place, template
from .adapters.batch_capacity import Capacity
from .adapters.batch_jobs import Machine
from .adapters.lambda_pool import Limits
from .faults import Armed, Document, scratch
from .resources import CREATORS
from .runners import Choice, choose
from .server import Server
from .stack import Stack
from .state_file import StateFile
from .template import Template


@dataclass(frozen=True)
class Options:
    """What the command line decides."""

    template: Path
    stack: str
    state: Path
    port: int
    executor: str
    parameters: dict[str, str]
    vcpus: float
    faults: Document
    workers: Limits

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"


@contextmanager
def running(options: Options) -> Iterator[dict[str, Any]]:
    """Yields what the state file says."""
    with ExitStack() as undo:
        state_file = StateFile(options.state, options.stack)
        built = template.read(options.template, options.parameters)
        leftovers.clear()
        own = undo.enter_context(leftovers.folder())
        choice = choose(options.executor, images(built, options), own)
        armed = Armed()
        server = Server(options.port, armed)
        undo.callback(server.close)
        if choice.gateway:
            server.listen(choice.gateway)
        make_volumes(options, undo)
        install(Machine(choice.runner, Capacity(options.vcpus), options.volumes, armed), own, options.workers, undo)
        stack = Stack(options.stack, built, options.parameters, CREATORS)
        outputs = stack.deploy()
        server.record.register(stack, outputs)
        armed.arm(options.faults)  # not before: deploying is nobody's test
        state = described(server, stack, choice, outputs)
        undo.callback(state_file.remove)
        state_file.write(state)
        yield state


def images(built: Template, options: Options) -> set[str]:
    """Those the job definitions name; resolved without creating anything."""
    stack = Stack(options.stack, built, options.parameters, {})
    definitions = [r for r in built.resources.values() if r["Type"] == "AWS::Batch::JobDefinition"]
    return {str(stack.resolved(found["Properties"]["ContainerProperties"]["Image"])) for found in definitions}


def make_volumes(options: Options, undo: ExitStack) -> None:
    scratch.unmount(options.volumes)
    shutil.rmtree(options.volumes, ignore_errors=True)  # fresh, whatever a killed server left
    undo.callback(shutil.rmtree, options.volumes, ignore_errors=True)
    if options.faults.scratch_mib:
        scratch.mount(options.volumes, options.faults.scratch_mib)
        undo.callback(scratch.unmount, options.volumes)


def install(machine: Machine, own: Path, workers: Limits, undo: ExitStack) -> None:
    adapters.install(machine, own, workers)
    undo.callback(machine.runner.close)
    undo.callback(adapters.close)


def described(server: Server, stack: Stack, choice: Choice, outputs: dict[str, str]) -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "endpoint": place.endpoint(),
        "port": server.port,
        "region": place.REGION,
        "stack": stack.name,
        "executor": choice.name,
        "executor_reason": choice.reason,
        "outputs": outputs,
        "skipped": stack.skipped,
    }
