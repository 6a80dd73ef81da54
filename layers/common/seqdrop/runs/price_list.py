"""On-demand prices of instances, as data: each list price of a family is proportional to its vCPUs."""

from __future__ import annotations

# Linux, shared tenancy; https://aws.amazon.com/ec2/pricing/on-demand/. Written down from memory, without access to that
# page: compare the figures before you rely on them. The parameter InstancePrices replaces those of single types.
DATE = "2024-12"
REGION = "us-east-1"
USD_PER_VCPU_HOUR = {
    "c6i": 0.0425,
    "c6id": 0.0504,
    "m6i": 0.048,
    "m6id": 0.059325,
    "r6i": 0.063,
    "r6id": 0.0756,
}
# https://aws.amazon.com/s3/pricing/ (Standard) and https://aws.amazon.com/step-functions/pricing/, same region
USD_PER_PUT = 0.005 / 1000  # also of one part of an upload
USD_PER_GET = 0.0004 / 1000
USD_PER_TRANSITION = 0.025 / 1000
