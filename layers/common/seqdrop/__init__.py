"""What every part of the pipeline shares."""

__version__ = "0.1.0"  # of the product, in receipts and manifests; that of every pyproject.toml
