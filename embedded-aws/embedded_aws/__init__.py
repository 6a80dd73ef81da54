"""An AWS on 127.0.0.1 that runs a built SAM template: moto's server, and one adapter for each gap in it."""
