"""Parse each definition of a state machine once.

moto parses it again at the start of every execution (backend/execution_worker.py:60), which takes longer than most
executions.
"""

from functools import lru_cache
from typing import Any

from antlr4 import CommonTokenStream, InputStream
from moto.stepfunctions.parser.asl.antlr.runtime.ASLLexer import ASLLexer
from moto.stepfunctions.parser.asl.antlr.runtime.ASLParser import ASLParser
from moto.stepfunctions.parser.asl.parse.asl_parser import (
    AmazonStateLanguageParser,
    ASLParserException,
    SyntaxErrorListener,
)
from moto.stepfunctions.parser.asl.parse.preprocessor import Preprocessor

from embedded_aws.patches import patch

DEFINITIONS = 64  # whose syntax trees are kept; the states are made from them for every execution


@lru_cache(maxsize=DEFINITIONS)
def syntax_tree(definition: str) -> Any:
    """Parse a definition; raise ASLParserException."""
    listener = SyntaxErrorListener()
    parser = ASLParser(CommonTokenStream(ASLLexer(InputStream(definition))))
    parser.removeErrorListeners()
    parser.addErrorListener(listener)
    tree = parser.state_machine()
    if listener.errors:
        raise ASLParserException(errors=listener.errors)
    return tree


def _parse(definition: str) -> tuple[Any, Any]:
    tree = syntax_tree(definition)
    return Preprocessor().visit(tree), tree


PARSE = staticmethod(_parse)


def install() -> None:
    """Patch moto."""
    patch(AmazonStateLanguageParser, "parse", PARSE, source="59b30198")
