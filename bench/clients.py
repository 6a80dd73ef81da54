"""Transfer files with a client: `clients.py CLIENT get|put FOLDER NAME...`; each is timed as a process of its own.

All leave out the SHA-256 of the payload, as they do over TLS, since this server speaks plain HTTP.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

BUCKET = "b"


def seqdrop(action: str, folder: Path, names: Sequence[str]) -> None:
    """Transfer as the jobs do: every file is verified."""
    from seqdrop.storage import s3
    from seqdrop.storage.uri import S3Uri

    if action == "get":
        list(s3.store().each(lambda name: s3.store().download(S3Uri(BUCKET, name), folder / name), names))
    else:
        list(s3.store().each(lambda name: s3.store().upload(folder / name, S3Uri(BUCKET, f"up/{name}")), names))


def boto3(action: str, folder: Path, names: Sequence[str]) -> None:
    """Transfer with the defaults of boto3, which verifies no multipart object."""
    import boto3 as library
    from botocore.config import Config

    client = library.client("s3", config=Config(s3={"payload_signing_enabled": False}))
    for name in names:
        if action == "get":
            client.download_file(BUCKET, name, str(folder / name))
        else:
            client.upload_file(str(folder / name), BUCKET, f"up/{name}")


def obstore(action: str, folder: Path, names: Sequence[str]) -> None:
    """Transfer with obstore: ranges in four threads with their CRC64NVME; it computes none of uploads."""
    from concurrent.futures import ThreadPoolExecutor

    import obstore as library
    from awscrt import checksums
    from obstore.store import S3Store

    store = S3Store(BUCKET, endpoint=os.environ["AWS_ENDPOINT_URL"], client_options={"allow_http": True},
                    virtual_hosted_style_request=False, region="us-east-1", unsigned_payload=True)  # fmt: skip
    part = 16 << 20
    with ThreadPoolExecutor(4) as pool:
        for name in names:
            if action == "put":
                library.put(store, f"up/{name}", folder / name, chunk_size=part, max_concurrency=4)
                continue
            size = library.head(store, name)["size"]
            with (folder / name).open("wb") as file:

                def fetch(start: int, name: str = name, size: int = size, descriptor: int = file.fileno()) -> None:
                    data = memoryview(library.get_range(store, name, start=start, length=min(part, size - start)))
                    checksums.crc64nvme(data)
                    os.pwrite(descriptor, data, start)

                list(pool.map(fetch, range(0, size, part)))


if __name__ == "__main__":
    {"seqdrop": seqdrop, "boto3": boto3, "obstore": obstore}[sys.argv[1]](sys.argv[2], Path(sys.argv[3]), sys.argv[4:])
