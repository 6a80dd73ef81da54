"""Check buckets, run table, image repositories, key and logs: encrypted, private, versioned, limited in time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from .finding import Finding, LocatedProblem, Problem
from .template import Stack, Template, as_list, check_by_type, check_stacks

GATE = "storage"
PUBLIC_ACCESS_BLOCKS = ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets")
MAX_UPLOAD_DAYS = 7  # parts of an incomplete upload are billed and no listing shows them
ARCHIVES = {"GLACIER", "DEEP_ARCHIVE"}  # nothing can be read there before it is restored
STATEFUL_TYPES = {
    "AWS::S3::Bucket",
    "AWS::DynamoDB::Table",
    "AWS::KMS::Key",
}
# RetainExceptOnCreate: the resources of a failed first deployment are empty, and would block the next deployment.
RETAINING_POLICIES = ("Retain", "RetainExceptOnCreate")


def check(template: Template) -> list[Finding]:
    """Return the findings in every deployment of the template."""
    return check_stacks(template, GATE, check_stack)


def check_stack(stack: Stack) -> Iterator[LocatedProblem]:
    """Check every resource of one deployment that stores data."""
    checks = {
        "AWS::DynamoDB::Table": check_table,
        "AWS::ECR::Repository": check_repository,
        "AWS::KMS::Key": check_key,
        "AWS::Logs::LogGroup": check_log_group,
    }
    yield from check_by_type(stack, checks)
    yield from check_buckets(stack)
    for name, resource in stack.resources.items():
        retained = (
            resource.get("DeletionPolicy") in RETAINING_POLICIES and resource.get("UpdateReplacePolicy") == "Retain"
        )
        if resource["Type"] in STATEFUL_TYPES and not retained:
            yield (
                "retained",
                name,
                "is deleted, with its data, when the stack is deleted or the resource replaced; "
                "set DeletionPolicy to RetainExceptOnCreate and UpdateReplacePolicy to Retain",
            )
        if resource["Type"] in STATEFUL_TYPES and "stack" not in [
            tag["Key"] for tag in resource["Properties"].get("Tags", [])
        ]:
            yield "found-again", name, "outlives the stack, and nothing says whose it was; add the tag `stack`"
    yield from check_aliases(stack)


def check_aliases(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that a key can be found after the stack is deleted: by an alias that stays."""
    retained = [
        name for name, resource in stack.resources.items() if resource.get("DeletionPolicy") in RETAINING_POLICIES
    ]
    named = {alias["TargetKeyId"] for name, alias in stack.of_type("AWS::KMS::Alias") if name in retained}
    for name, _ in stack.of_type("AWS::KMS::Key"):
        if stack.ref(name) not in named:
            yield "found-again", name, "outlives the stack without a name; add an AWS::KMS::Alias that is retained"


def check_buckets(stack: Stack) -> Iterator[LocatedProblem]:
    """Check each bucket by itself and against its policy, its log bucket and the rules for its events."""
    buckets = dict(stack.of_type("AWS::S3::Bucket"))
    log_buckets = {bucket.get("LoggingConfiguration", {}).get("DestinationBucketName") for bucket in buckets.values()}
    inputs = buckets_with_event_rules(stack)
    for name, bucket in buckets.items():
        is_log_bucket = name in log_buckets
        problems = [
            *check_access(bucket),
            *check_encryption(bucket, log_bucket=is_log_bucket),
            *check_lifecycle(bucket),
            *([] if is_log_bucket else check_data_lifecycle(bucket)),
        ]
        for rule, message in problems:
            yield rule, name, message
        if not is_log_bucket and "LoggingConfiguration" not in bucket:
            yield "access-log", name, "access is not logged, so nobody can see who read it; add LoggingConfiguration"
        if ("EventBridgeConfiguration" in bucket.get("NotificationConfiguration", {})) != (name in inputs):
            yield (
                "events-of-input-only",
                name,
                "EventBridge must be on for input buckets and off for all others; "
                + ("add EventBridgeConfiguration" if name in inputs else "remove EventBridgeConfiguration"),
            )
        if not has_tls_policy(stack, name):
            yield (
                "tls-only",
                name,
                "no bucket policy denies requests without TLS; "
                "deny s3:* on the bucket and its objects where aws:SecureTransport is false",
            )


def buckets_with_event_rules(stack: Stack) -> set[str]:
    """Return the buckets whose events match an EventBridge rule: uploads to them start runs."""
    patterns = [rule.get("EventPattern", {}) for _, rule in stack.of_type("AWS::Events::Rule")]
    return {name for pattern in patterns for name in pattern.get("detail", {}).get("bucket", {}).get("name", [])}


def check_access(bucket: dict[str, Any]) -> Iterator[Problem]:
    """Check that a bucket blocks public access, enforces bucket ownership and keeps versions."""
    blocks = bucket.get("PublicAccessBlockConfiguration", {})
    if missing := [block for block in PUBLIC_ACCESS_BLOCKS if blocks.get(block) is not True]:
        yield "public-access", f"public access is not blocked; set {', '.join(missing)} to true"
    if "AccessControl" in bucket:
        yield "owner-enforced", "access is granted by an ACL; remove AccessControl and use the bucket policy"
    rules = bucket.get("OwnershipControls", {}).get("Rules", [])
    if [rule.get("ObjectOwnership") for rule in rules] != ["BucketOwnerEnforced"]:
        yield "owner-enforced", "an object may belong to its uploader; set ObjectOwnership to BucketOwnerEnforced"
    if bucket.get("VersioningConfiguration", {}).get("Status") != "Enabled":
        yield "versioned", "versioning is off, but a run reads fixed object versions; set its Status to Enabled"


def check_encryption(bucket: dict[str, Any], *, log_bucket: bool) -> Iterator[Problem]:
    """Check that a bucket uses a KMS key, or SSE-S3 if it takes access logs: S3 delivers logs to no other bucket."""
    rules = bucket.get("BucketEncryption", {}).get("ServerSideEncryptionConfiguration", [])
    defaults = [rule.get("ServerSideEncryptionByDefault", {}) for rule in rules]
    expected = "AES256" if log_bucket else "aws:kms"
    if [default.get("SSEAlgorithm") for default in defaults] != [expected]:
        yield "encrypted", f"the default encryption must be {expected}; set SSEAlgorithm"
    elif not log_bucket and not defaults[0].get("KMSMasterKeyID"):
        yield "encrypted", "uses the AWS managed key, which cannot be shared or revoked; set KMSMasterKeyID"
    elif not log_bucket and rules[0].get("BucketKeyEnabled") is not True:
        yield "bucket-key", "every object costs a call to KMS; set BucketKeyEnabled to true"


def check_lifecycle(bucket: dict[str, Any]) -> Iterator[Problem]:
    """Check that incomplete uploads and noncurrent versions expire."""
    all_rules = bucket.get("LifecycleConfiguration", {}).get("Rules", [])
    rules = [rule for rule in all_rules if rule.get("Status") == "Enabled"]
    days = [rule.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation") for rule in rules]
    if not any(count and count <= MAX_UPLOAD_DAYS for count in days):
        yield (
            "abandoned-uploads",
            f"incomplete uploads are billed for more than {MAX_UPLOAD_DAYS} days; "
            "add a lifecycle rule with AbortIncompleteMultipartUpload",
        )
    if not any("NoncurrentVersionExpiration" in rule for rule in rules):
        yield (
            "old-versions",
            "noncurrent versions are billed for ever; add a lifecycle rule with NoncurrentVersionExpiration",
        )


def check_data_lifecycle(bucket: dict[str, Any]) -> Iterator[Problem]:
    """Check that no lifecycle rule deletes data, or archives results that people read."""
    is_input = "NotificationConfiguration" in bucket
    for rule in bucket.get("LifecycleConfiguration", {}).get("Rules", []):
        tags = {tag["Value"] for tag in rule.get("TagFilters", []) if tag["Key"] == "seqdrop"}
        if ("ExpirationInDays" in rule or "ExpirationDate" in rule) and tags != {"intermediate"}:
            yield "expires-data", f"the rule {rule.get('Id')} deletes data; filter by the tag seqdrop=intermediate"
        classes = {transition["StorageClass"] for transition in rule.get("Transitions", [])}
        if classes & ARCHIVES and tags != {"alignment"} and not is_input:
            yield "archived-results", f"the rule {rule.get('Id')} archives reports; filter by the tag seqdrop=alignment"


def has_tls_policy(stack: Stack, bucket: str) -> bool:
    """Return whether a bucket policy denies every request without TLS to the bucket and its objects."""
    resources = {stack.arn(bucket), f"{stack.arn(bucket)}/*"}
    return any(
        denies_without_tls(statement, "s3:*") and resources <= set(as_list(statement.get("Resource")))
        for _, policy in stack.of_type("AWS::S3::BucketPolicy")
        if policy.get("Bucket") == bucket
        for statement in as_list(policy["PolicyDocument"].get("Statement"))
    )


def denies_without_tls(statement: dict[str, Any], action: str) -> bool:
    """Return whether a statement denies this action to every principal where the request does not use TLS."""
    secure_transport = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    every_principal = statement.get("Principal") in ("*", {"AWS": "*"})
    denied = statement.get("Effect") == "Deny" and as_list(statement.get("Action")) == [action]
    return every_principal and denied and str(secure_transport).lower() == "false"


def check_table(properties: dict[str, Any]) -> Iterator[Problem]:
    """Check the encryption, recovery and billing of a DynamoDB table."""
    sse = properties.get("SSESpecification", {})
    if not (sse.get("SSEEnabled") and sse.get("SSEType") == "KMS" and sse.get("KMSMasterKeyId")):
        yield "encrypted", "is not encrypted with the key of the stack; set SSEEnabled, SSEType KMS and KMSMasterKeyId"
    if properties.get("PointInTimeRecoverySpecification", {}).get("PointInTimeRecoveryEnabled") is not True:
        yield "recoverable", "a wrong write cannot be undone; set PointInTimeRecoveryEnabled to true"
    if properties.get("BillingMode") != "PAY_PER_REQUEST":
        yield "idle-cost", "costs money while nothing runs; set BillingMode to PAY_PER_REQUEST"


def check_repository(properties: dict[str, Any]) -> Iterator[Problem]:
    """Check the tags, scans, encryption and lifecycle of an image repository."""
    if properties.get("ImageTagMutability") != "IMMUTABLE":
        yield "immutable-tags", "a tag can move to another image; set ImageTagMutability to IMMUTABLE"
    if properties.get("ImageScanningConfiguration", {}).get("ScanOnPush") is not True:
        yield "scan-on-push", "images are not scanned for known vulnerabilities; set ScanOnPush to true"
    if properties.get("EncryptionConfiguration", {}).get("EncryptionType") != "AES256":
        yield (
            "key-of-images",
            "another KmsKeyArn would replace a repository with a fixed name, which fails; set EncryptionType to AES256",
        )
    try:
        rules = json.loads(properties.get("LifecyclePolicy", {}).get("LifecyclePolicyText", "{}")).get("rules")
    except json.JSONDecodeError:
        rules = None
    if not rules:
        yield "old-images", "old images are billed for ever; add a LifecyclePolicy with rules in valid JSON"


def check_key(properties: dict[str, Any]) -> Iterator[Problem]:
    """Check the rotation of a KMS key."""
    if properties.get("EnableKeyRotation") is not True:
        yield "key-rotation", "the key material is never rotated; set EnableKeyRotation to true"


def check_log_group(properties: dict[str, Any]) -> Iterator[Problem]:
    """Check the retention and encryption of a log group."""
    if not properties.get("RetentionInDays"):
        yield "log-retention", "logs are kept and billed for ever; set RetentionInDays"
    if not properties.get("KmsKeyId"):
        yield "encrypted", "is not encrypted with the key of the stack; set KmsKeyId"
