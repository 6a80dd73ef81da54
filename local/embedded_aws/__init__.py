"""An AWS on this machine: moto, with one adapter for each thing it lacks."""
