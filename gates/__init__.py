"""Check what must hold before a change is merged: each gate is a module that turns file contents into findings."""
