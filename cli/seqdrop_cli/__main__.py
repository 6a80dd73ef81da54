"""Where `seqdrop` begins. Ctrl-C while its modules load ends it without a word; from then on `app` hears it."""

from __future__ import annotations

import signal


def main() -> None:
    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # not as nohup left it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from seqdrop_cli import app  # noqa: PLC0415  takes a second, of boto3 mostly

    signal.signal(signal.SIGINT, heard)
    app.main()


if __name__ == "__main__":
    main()
