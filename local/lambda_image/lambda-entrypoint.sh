#!/bin/sh
set -eu
# With the runtime API of Lambda: start the runtime alone. Without it: behind the emulator that AWS ships with SAM.
export _HANDLER="$1"
if [ -n "${AWS_LAMBDA_RUNTIME_API:-}" ]; then
    exec "$LAMBDA_RUNTIME_DIR/bootstrap"
fi
exec aws-lambda-rie "$LAMBDA_RUNTIME_DIR/bootstrap"
