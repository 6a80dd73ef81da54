"""Parse each definition of a state machine once, and make its states once.

moto does both again at the start of every execution (backend/execution_worker.py:60), which takes longer than most
executions. States keep what they count in the environment of the execution, so executions can share them, as the
iterations of a Map do, but for two details:

- Result (component/state/state_pass/result.py) hands out its own object, which later states change.
- The key of the counters of a retrier is made at its first use (EvalComponent.heap_key), by two threads twice.
"""

import copy
from functools import lru_cache
from typing import Any

from antlr4 import CommonTokenStream, InputStream
from moto.stepfunctions.parser.asl.antlr.runtime.ASLLexer import ASLLexer
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
from moto.stepfunctions.parser.asl.component.eval_component import EvalComponent
from moto.stepfunctions.parser.asl.component.state.state_pass.result import Result
from moto.stepfunctions.parser.asl.parse.asl_parser import (
    AmazonStateLanguageParser,
    ASLParserException,
    SyntaxErrorListener,
)
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor

from embedded_aws.patches import patch

DEFINITIONS = 64  # whose syntax trees and states are kept


@lru_cache(maxsize=DEFINITIONS)
def _parse(definition: str) -> tuple[Any, Any]:
    """Return the states and the syntax tree of a definition; raise ASLParserException."""
    listener = SyntaxErrorListener()
    parser = ASLParser(CommonTokenStream(ASLLexer(InputStream(definition))))
    parser.removeErrorListeners()
    parser.addErrorListener(listener)
    tree = parser.state_machine()
    if listener.errors:
        raise ASLParserException(errors=listener.errors)
    return Preprocessor().visit(tree), tree


def _eval_body(self: Any, env: Any) -> None:
    env.stack.append(copy.deepcopy(self.result_obj))


PARSE = staticmethod(_parse)
KEY = property(lambda self: str(id(self)))


def install() -> None:
    """Patch moto."""
    patch(AmazonStateLanguageParser, "parse", PARSE, source="59b30198")
    patch(Result, "_eval_body", _eval_body, source="75df7b41")
    patch(EvalComponent, "heap_key", KEY, source="654367c0")
