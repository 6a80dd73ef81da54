"""The whole AWS from template to state file, and the way back: what is started is registered to be undone."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import adapters, place, template
from .adapters.batch_capacity import Capacity
from .adapters.batch_jobs import Machine
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

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"


@contextmanager
def running(options: Options) -> Iterator[dict[str, Any]]:
    """Yields what the state file says."""
    with ExitStack() as undo:
        state_file = StateFile(options.state, options.stack)
        built = template.read(options.template, options.parameters)
        scratch = Path(tempfile.mkdtemp(prefix="embedded-aws-"))
        undo.callback(shutil.rmtree, scratch, ignore_errors=True)
        choice = choose(options.executor, images(built, options), scratch)
        server = Server(options.port)
        undo.callback(server.close)
        if choice.gateway:
            server.listen(choice.gateway)
        install(options, choice, scratch, undo)
        stack = Stack(options.stack, built, options.parameters, CREATORS)
        outputs = stack.deploy()
        server.record.register(stack, outputs)
        state = described(server, stack, choice, outputs)
        undo.callback(state_file.remove)
        state_file.write(state)
        yield state


def images(built: Template, options: Options) -> set[str]:
    """Those the job definitions name; resolved without creating anything."""
    stack = Stack(options.stack, built, options.parameters, {})
    definitions = [r for r in built.resources.values() if r["Type"] == "AWS::Batch::JobDefinition"]
    return {str(stack.resolved(found["Properties"]["ContainerProperties"]["Image"])) for found in definitions}


def install(options: Options, choice: Choice, scratch: Path, undo: ExitStack) -> None:
    shutil.rmtree(options.volumes, ignore_errors=True)  # fresh, whatever a killed server left
    undo.callback(shutil.rmtree, options.volumes, ignore_errors=True)
    adapters.install(Machine(choice.runner, Capacity(options.vcpus), options.volumes), scratch)
    undo.callback(choice.runner.close)
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
