"""List hostile file names, which attack a shell, a header, a key or a web page, and match harmless names."""

from __future__ import annotations

import re

HOSTILE = [
    *("a;rm -rf $HOME", "$(id)", "`id`", "a|b", "a&b", "-rf", "--help", "~root", "*", "{}", "${X}", "Ref::sample"),
    *("../../etc/passwd", "..", "a/../b", "\u2024\u2024\u2215x", "\uff0e\uff0e\uff0fx", "%252e%252e%252fx", "s3://x/y"),
    *("a\nb", "a\r\nb", "a\tSM:other", "a\\tb", "a\0b", "\x1b[31mred", "a\u202egnp", "\u200f", "%0a"),
    *("=cmd|' /C calc'!A0", "@SUM(1)", "+1", "<script>alert(1)</script>", "a'b", 'a"b', "a b", "Müller"),
    *("x" * 64, "x" * 65, "é" * 500, "\U0001f9ec"),
]
HARMLESS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", re.ASCII)
