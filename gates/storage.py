"""What is kept: buckets, run table, image repositories, key, logs. Encrypted, private, versioned, bounded in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .finding import Finding
from .template import Said, Stack, Template, judged, listed

GATE = "storage"
PUBLIC_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
MOST_DAYS_OF_UPLOAD = 7  # parts of an abandoned upload are billed and seen by nobody
STATEFUL = {
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
}
KEPT = ("Retain", "RetainExceptOnCreate")

Faults = Iterator[tuple[str, str]]  # rule, message


def check(template: Template) -> list[Finding]:
    return judged(template, GATE, judge)


def judge(stack: Stack) -> Said:
    rules = {
        "AWS::DynamoDB::Table": table,
        "AWS::ECR::Repository": repository,
        "AWS::KMS::Key": key,
        "AWS::Logs::LogGroup": log_group,
    }
    for kind, rule_of in rules.items():
        for name, properties in stack.of_type(kind):
            for rule, message in rule_of(properties):
                yield rule, name, message
    yield from buckets(stack)
    for name, resource in stack.resources.items():
        # RetainExceptOnCreate: what a failed first deployment made is empty, and would stand in the way of the next
        kept = resource.get("DeletionPolicy") in KEPT and resource.get("UpdateReplacePolicy") == "Retain"
        if resource["Type"] in STATEFUL and not kept:
            yield "retained", name, "would go with the stack, and what is in it"


def buckets(stack: Stack) -> Said:
    every = dict(stack.of_type("AWS::S3::Bucket"))
    logs = {bucket.get("LoggingConfiguration", {}).get("DestinationBucketName") for bucket in every.values()}
    inputs = watched(stack)
    for name, bucket in every.items():
        for rule, message in [*closed(bucket), *encrypted(bucket, takes_logs=name in logs), *lifecycle(bucket)]:
            yield rule, name, message
        if name not in logs and "LoggingConfiguration" not in bucket:
            yield "access-log", name, "nobody could tell who read it"
        if ("EventBridgeConfiguration" in bucket.get("NotificationConfiguration", {})) != (name in inputs):
            yield "events-of-input-only", name, "EventBridge is on where runs begin, and nowhere we write"
        if not refuses_plain_http(stack, name):
            yield "tls-only", name, "no policy denies what comes without TLS"


def watched(stack: Stack) -> set[str]:
    """The buckets that a rule waits for."""
    patterns = [rule.get("EventPattern", {}) for _, rule in stack.of_type("AWS::Events::Rule")]
    return {name for pattern in patterns for name in pattern.get("detail", {}).get("bucket", {}).get("name", [])}


def closed(bucket: dict[str, Any]) -> Faults:
    blocks = bucket.get("PublicAccessBlockConfiguration", {})
    if open_ways := [way for way in PUBLIC_BLOCKS if blocks.get(way) is not True]:
        yield "public-access", f"{', '.join(open_ways)}: not blocked"
    if "AccessControl" in bucket:
        yield "owner-enforced", "access is by policy, never by ACL"
    rules = bucket.get("OwnershipControls", {}).get("Rules", [])
    if [rule.get("ObjectOwnership") for rule in rules] != ["BucketOwnerEnforced"]:
        yield "owner-enforced", "an object could belong to who uploads it"
    if bucket.get("VersioningConfiguration", {}).get("Status") != "Enabled":
        yield "versioned", "a run reads the versions it was started with"


def encrypted(bucket: dict[str, Any], *, takes_logs: bool) -> Faults:
    """With a KMS key; a bucket of access logs with S3's own, since S3 delivers them to no other."""
    rules = bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
    defaults = [rule.get("ServerSideEncryptionByDefault", {}) for rule in rules]
    wanted = "AES256" if takes_logs else "aws:kms"
    if [default.get("SSEAlgorithm") for default in defaults] != [wanted]:
        yield "encrypted", f"the default is not {wanted}"
    elif not takes_logs and not defaults[0].get("KMSMasterKeyID"):
        yield "encrypted", "no key is named: AWS's own cannot be shared or withdrawn"
    elif not takes_logs and rules[0].get("BucketKeyEnabled") is not True:
        yield "bucket-key", "each object would be a paid call to KMS"


def lifecycle(bucket: dict[str, Any]) -> Faults:
    every = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
    rules = [rule for rule in every if rule.get("Status") == "Enabled"]
    aborts = [rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation") for rule in rules]
    if not any(days and days <= MOST_DAYS_OF_UPLOAD for days in aborts):
        yield "abandoned-uploads", f"are billed for more than {MOST_DAYS_OF_UPLOAD} days"
    if not any("NoncurrentVersionExpiration" in rule for rule in rules):
        yield "old-versions", "are billed for ever"


def refuses_plain_http(stack: Stack, bucket: str) -> bool:
    """A policy of the bucket denies everybody everything on it and in it when TLS is missing."""
    both = {stack.arn(bucket), f"{stack.arn(bucket)}/*"}
    for _, policy in stack.of_type("AWS::S3::BucketPolicy"):
        if policy.get("Bucket") == bucket:
            for statement in listed(policy["PolicyDocument"].get("Statement")):
                if denies_without_tls(statement, "s3:*") and both <= set(listed(statement.get("Resource"))):
                    return True
    return False


def denies_without_tls(statement: dict[str, Any], action: str) -> bool:
    secure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    everybody = statement.get("Principal") in ("*", {"AWS": "*"})
    denied = statement.get("Effect") == "Deny" and listed(statement.get("Action")) == [action]
    return everybody and denied and str(secure).lower() == "false"


def table(properties: dict[str, Any]) -> Faults:
    sse = properties.get("SSESpecification", {})
    if not (sse.get("SSEEnabled") and sse.get("SSEType") == "KMS" and sse.get("KMSMasterKeyId")):
        yield "encrypted", "not with our key"
    if properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") is not True:
        yield "recoverable", "a wrong write could not be taken back"
    if properties.get("BillingMode") != "PAY_PER_REQUEST":
        yield "idle", "is paid for with no run there"


def repository(properties: dict[str, Any]) -> Faults:
    if properties.get("ImageTagMutability") != "IMMUTABLE":
        yield "immutable-tags", "a tag could come to mean another image"
    if properties.get("ImageScanningConfiguration", {}).get("ScanOnPush") is not True:
        yield "scan-on-push", "nobody would hear of a known hole"
    if properties.get("EncryptionConfiguration", {}).get("EncryptionType") != "KMS":
        yield "encrypted", "not with KMS"
    try:
        rules = json.loads(properties.get("LifecyclePolicy", {}).get("LifecyclePolicyText", "{}")).get("rules")
    except json.JSONDecodeError:
        rules = None
    if not rules:
        yield "old-images", "are billed for ever"


def key(properties: dict[str, Any]) -> Faults:
    if properties.get("EnableKeyRotation") is not True:
        yield "key-rotation", "the key never changes"


def log_group(properties: dict[str, Any]) -> Faults:
    if not properties.get("RetentionInDays"):
        yield "log-retention", "is kept, and billed, for ever"
    if not properties.get("KmsKeyId"):
        yield "encrypted", "not with our key"
