#!/bin/sh
set -eu
# With the runtime API of a real Lambda the runtime alone; else the emulator that AWS ships with SAM, in front of it.
export _HANDLER="$1"
if [ -n "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec "$LAMBDA_RUNTIME_DIR/bootstrap"
fi
exec aws-lambda-rie "$LAMBDA_RUNTIME_DIR/bootstrap"
