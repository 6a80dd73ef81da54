"""The rights that a request to S3 needs.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

import re
from typing import Any
from urllib.parse import parse_qs, unquote

from embedded_aws import aws
from embedded_aws.signatures import RefusedError

from .statements import Need

# Query parameters that do not change the action; versionId changes its name.
NEUTRAL = re.compile(
    "partNumber|versionId|x-id|continuation-token|delimiter|encoding-type|fetch-owner|key-marker|list-type|marker"
    "|max-keys|max-parts|max-uploads|part-number-marker|prefix|start-after|upload-id-marker|version-id-marker"
    "|X-Amz-(?:Algorithm|Credential|Date|Expires|Security-Token|SignedHeaders|Signature)"  # of a presigned URL
)
# Method and sub-resource -> actions.
OBJECT_ACTIONS = {
    ("GET", ""): ("GetObject",),
    ("HEAD", ""): ("GetObject",),
    ("PUT", ""): ("PutObject",),
    ("DELETE", ""): ("DeleteObject",),
    ("GET", "attributes"): ("GetObject", "GetObjectAttributes"),
    ("GET", "tagging"): ("GetObjectTagging",),
    ("PUT", "tagging"): ("PutObjectTagging",),
    ("DELETE", "tagging"): ("DeleteObjectTagging",),
    ("POST", "uploads"): ("PutObject",),
    ("PUT", "uploadId"): ("PutObject",),
    ("POST", "uploadId"): ("PutObject",),
    ("GET", "uploadId"): ("ListMultipartUploadParts",),
    ("DELETE", "uploadId"): ("AbortMultipartUpload",),
}
BUCKET_ACTIONS = {
    ("GET", ""): "ListBucket",
    ("HEAD", ""): "ListBucket",
    ("GET", "location"): "GetBucketLocation",
    ("GET", "uploads"): "ListBucketMultipartUploads",
    ("GET", "versions"): "ListBucketVersions",
}
VERSIONED = {name for names in OBJECT_ACTIONS.values() for name in names} - {"PutObject"}


def arn(bucket: str, key: str = "") -> str:
    """Return the ARN of a bucket or of an object."""
    return f"arn:{aws.PARTITION}:s3:::{bucket}" + (f"/{key}" if key else "")


def address(environ: dict[str, Any]) -> tuple[str, str]:
    """Return bucket and key of a request; "" where it names none."""
    path = unquote(environ["RAW_URI"].partition("?")[0])
    if "HTTP_X_AMZ_TARGET" in environ or not path.startswith("/") or path.startswith("//"):
        raise RefusedError("AccessDenied", "The request is not in the form of S3.")
    bucket, _, key = path[1:].partition("/")
    return bucket, key


def needs_of_s3(environ: dict[str, Any]) -> list[Need]:
    """Return the rights that a request needs; raise RefusedError for one that no role may send here."""
    method, (bucket, key) = environ["REQUEST_METHOD"], address(environ)
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    resource = ",".join(sorted(name for name in query if not NEUTRAL.fullmatch(name)))
    if key and (actions := OBJECT_ACTIONS.get((method, resource))):
        return [*_of_object(actions, arn(bucket, key), query), *_of_headers(environ, arn(bucket, key))]
    if bucket and not key and (action := BUCKET_ACTIONS.get((method, resource))):
        return [Need(f"s3:{action}", arn(bucket), (("s3:prefix", query.get("prefix", [""])[0]),))]
    if (method, resource) == ("POST", "delete") and not key:
        return [Need("s3:DeleteObject", arn(bucket, "*"))]  # a list of keys: of any object, to read no XML here
    if (method, bucket) == ("GET", ""):
        return [Need("s3:ListAllMyBuckets", "*")]
    raise RefusedError("AccessDenied", f"The rights of {method} ?{resource} are not known to this AWS.")


def _of_object(actions: tuple[str, ...], resource: str, query: dict[str, list[str]]) -> list[Need]:
    version = "versionId" in query
    names = [
        action.replace("Object", "ObjectVersion") if version and action in VERSIONED else action for action in actions
    ]
    return [Need(f"s3:{name}", resource) for name in names]


def _of_headers(environ: dict[str, Any], resource: str) -> list[Need]:
    """Return what the headers of a write need besides."""
    needs: list[Need] = []
    if environ["REQUEST_METHOD"] not in ("PUT", "POST"):
        return needs
    if environ.get("HTTP_X_AMZ_TAGGING"):
        needs.append(Need("s3:PutObjectTagging", resource))
    if environ.get("HTTP_X_AMZ_ACL"):
        needs.append(Need("s3:PutObjectAcl", resource))
    if environ.get("HTTP_IF_MATCH"):
        needs.append(Need("s3:GetObject", resource))
    if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
        path, _, version = source.partition("?versionId=")
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        needs.append(Need("s3:GetObjectVersion" if version else "s3:GetObject", arn(bucket, key)))
    return needs
