"""Start `seqdrop`. Ctrl-C while its modules load ends it without a message; from then on `app` handles it."""

from __future__ import annotations

import signal


def main() -> None:
    """Load the commands and run the one that was typed."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # nohup ignores the signal, and that stays
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from seqdrop_cli import app  # noqa: PLC0415  takes a tenth of a second

    signal.signal(signal.SIGINT, handler)
    app.main()


if __name__ == "__main__":
    main()
