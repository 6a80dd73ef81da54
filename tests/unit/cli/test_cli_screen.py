"""File names, sample names and the output of tools do not control the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.table import Table
from seqdrop.storage.uri import S3Uri
from seqdrop_cli import screen, status, upload
from seqdrop_cli.errors import CliError, warn
from seqdrop_cli.screen import Screen, say, visible
from support import cli_aws
from support.cli_aws import seqdrop

HOSTILE = "S\x1b]0;title\x07\x1b[2J\x9b31m\u202e[bold red]x[/]:smile:[link=http://evil.example]y"
SHOWN = r"S\x1b]0;title\x07\x1b[2J\x9b31m\u202e[bold red]x[/]:smile:[link=http://evil.example]y"


def test_non_printable_characters_are_written_out() -> None:
    assert visible(HOSTILE) == SHOWN
    assert visible("Müller 한\n\tx") == "Müller 한\n\tx"


def test_lines_tables_errors_and_warnings_show_names_as_they_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    say(HOSTILE)
    status.show_list([{"run": "0123", "sample": HOSTILE, "status": "FAILED", "class": HOSTILE}])
    warn(HOSTILE)
    captured = capsys.readouterr()
    assert captured.out.count(SHOWN) == 3
    assert captured.err == SHOWN + "\n"

    def fail(*_: object) -> None:
        raise CliError(HOSTILE)

    monkeypatch.setattr("seqdrop_cli.stack.open_stack", fail)
    assert seqdrop("status") == (1, SHOWN + "\n")


def test_a_terminal_gets_only_the_escapes_of_the_command_itself() -> None:
    terminal = io.StringIO()
    console = Screen(file=terminal, force_terminal=True, width=200, color_system="standard")
    table = Table()
    table.add_row(HOSTILE)
    console.print(HOSTILE, style="red")
    console.print(table)
    plain = terminal.getvalue()
    assert plain.count(SHOWN) == 2
    assert not any(text in plain for text in ("\x1b]", "\x1b[2J", "\x9b", "\u202e", "\x07"))


def test_the_progress_of_an_upload_shows_the_name_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "reads"
    file.write_bytes(b"x")
    terminal = io.StringIO()
    monkeypatch.setattr(upload, "console", lambda: Screen(file=terminal, force_terminal=True, width=300))
    with cli_aws.stack() as stack:
        upload.upload_files(stack, [(file, S3Uri("fastq", HOSTILE.replace("/", "-")))], {})
    assert SHOWN.replace("/", "-") in terminal.getvalue()
    assert not any(text in terminal.getvalue() for text in ("\x1b]", "\x9b", "\x07"))


LONG = "Reference hg is not prepared (prepared: demo): `seqdrop reference GENOME.fa --name hg`, or choose another one."


@pytest.mark.parametrize(("text", "width", "lines"), [
    (LONG, 80, ["Reference hg is not prepared (prepared: demo):",
                "`seqdrop reference GENOME.fa --name hg`, or choose another one."]),
    (LONG, 30, ["Reference hg is not prepared", "(prepared: demo):", "`seqdrop reference GENOME.fa --name hg`,",
                "or choose another one."]),
    (LONG, 200, [LONG]),
    ("  a:  `b c`\n  one two three `four five`", 16, ["  a:  `b c`", "  one two three", "  `four five`"]),
    ("no command in this line", 8, ["no command in this line"]),
    ("one back quote ` only here", 16, ["one back quote `", "only here"]),
])  # fmt: skip
def test_a_command_is_not_broken_at_the_edge_of_a_terminal(text: str, width: int, lines: list[str]) -> None:
    assert screen.wrap(text, width).split("\n") == lines
    for is_terminal, printed in ((True, lines), (False, text.split("\n"))):
        output = io.StringIO()
        Screen(file=output, width=width, force_terminal=is_terminal).say(text)
        assert output.getvalue().splitlines() == printed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(8.4, "8s"), (720, "12m"), (9000, "2.5h"), (50_000, "14h"), (260_000, "3d"), (12_096_000, "20w")],
)
def test_a_duration_in_a_table_has_one_unit(seconds: float, text: str) -> None:
    assert screen.short_seconds(seconds) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (950, "950"), (999.6, "1k"), (1_234, "1.23k"), (42_123_456, "42.1M"), (2.5e9, "2.5G")],
)
def test_a_count_in_a_table_has_three_digits(number: float, text: str) -> None:
    assert screen.short_number(number) == text
