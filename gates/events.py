"""Check rules, functions, queues, topics, state machines, alarms, network: no event is lost and nothing is public."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .finding import Finding, LocatedProblem, drop_suppressed
from .iam import lacks_resource_types
from .storage import denies_without_tls
from .tables import snake_case
from .template import Stack, Template, as_list, check_stacks

GATE = "events"
LAYER = "layers/common/"
BUILD = {"BuildMethod": "makefile", "BuildArchitecture": "x86_64"}
LOST_EVENTS = "InvocationsFailedToBeSentToDlq"  # neither the target nor the dead-letter queue took the event
NEEDLESS_ENDPOINTS = (".kms", ".sts")  # S3, ECR and Logs call KMS themselves; the ECS agent hands out credentials
MAX_RETENTION_SECONDS = 14 * 24 * 60 * 60  # the maximum of SQS; an alarm on a Friday needs more than a weekend
DEFAULT_TIMEOUT = 3  # seconds, of a function without one
VISIBILITY_FACTOR = 6  # as Lambda recommends for queues
SET_KMS_KEY = "is not encrypted with the key of the stack; set KmsMasterKeyId"


def check(template: Template) -> list[Finding]:
    """Return the findings in the template as SAM reads it, and in every deployment of it."""
    findings = [Finding(GATE, *problem) for problem in check_sources(template.source["Resources"])]
    return check_stacks(template, GATE, check_stack) + drop_suppressed(findings, template.resources)


def check_sources(resources: dict[str, Any]) -> Iterator[LocatedProblem]:
    """Check where the code of a function comes from, and that a change of its layer publishes a version too."""
    for name, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            folder = f"functions/{snake_case(name.removesuffix('Function'))}/"
            if properties.get("CodeUri") != folder:
                yield "code", name, f"has the code in {properties.get('CodeUri')}; set CodeUri to {folder}"
            if "AutoPublishAlias" in properties and properties.get("AutoPublishAliasAllProperties") is not True:
                yield "layer-version", name, "a new layer is not used; set AutoPublishAliasAllProperties to true"
        elif resource["Type"] == "AWS::Serverless::LayerVersion":
            if properties.get("ContentUri") != LAYER:
                yield "code", name, f"has the code in {properties.get('ContentUri')}; set ContentUri to {LAYER}"
            if resource.get("Metadata") != BUILD:
                yield "build", name, f"must have compiled packages for the functions; set Metadata to {BUILD}"


def check_stack(stack: Stack) -> Iterator[LocatedProblem]:
    """Run every check of this gate on one deployment."""
    checks = (
        check_targets,
        check_patterns,
        check_functions,
        check_function_urls,
        check_queues,
        check_event_sources,
        check_topics,
        check_state_machines,
        check_alarms,
        check_security_groups,
        check_endpoints,
        check_subnets,
    )
    for check_resources in checks:
        yield from check_resources(stack)


def check_targets(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that EventBridge keeps every event that it cannot deliver."""
    queue_arns = {stack.arn(name) for name, _ in stack.of_type("AWS::SQS::Queue")}
    accepting_queues = set(queues_accepting_events(stack))
    for name, rule in stack.of_type("AWS::Events::Rule"):
        for target in rule.get("Targets", []):
            queue = target.get("DeadLetterConfig", {}).get("Arn")
            if queue not in queue_arns:
                yield (
                    "dead-letters",
                    name,
                    f"an event that fails on {target.get('Arn')} is lost; set DeadLetterConfig to a queue of the stack",
                )
            elif queue not in accepting_queues:
                yield (
                    "dead-letter-policy",
                    name,
                    f"the policy of {queue} must allow events.amazonaws.com to send messages for named rules only; "
                    "add such a statement with a condition on aws:SourceArn",
                )
            if ":logs:" in str(target.get("Arn")) and str(target["Arn"]).endswith(":*"):
                yield "log-target", name, f"EventBridge refuses the target {target['Arn']}; remove `:*` from its end"
            if not target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds"):
                yield "retry-policy", name, "the retry time has no limit; set RetryPolicy.MaximumEventAgeInSeconds"


def check_patterns(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that a rule takes every uploaded object: a file that a filter leaves out disappears without a row."""
    for name, rule in stack.of_type("AWS::Events::Rule"):
        pattern = rule.get("EventPattern", {})
        if "Object Created" in pattern.get("detail-type", []) and "key" in pattern.get("detail", {}).get("object", {}):
            yield (
                "key-filter",
                name,
                "a file with another ending starts no run and gets no row; remove the filter on detail.object.key",
            )


def queues_accepting_events(stack: Stack) -> Iterator[str]:
    """Yield the queues whose policy lets EventBridge send messages for named rules."""
    for statement in queue_statements(stack):
        condition_keys = {key for tests in statement.get("Condition", {}).values() for key in tests}
        principal = statement.get("Principal")
        services = as_list(principal.get("Service")) if isinstance(principal, dict) else []
        allows_events = statement.get("Effect") == "Allow" and "events.amazonaws.com" in services
        if allows_events and "aws:SourceArn" in condition_keys:
            yield from as_list(statement.get("Resource"))


def queue_statements(stack: Stack) -> Iterator[dict[str, Any]]:
    """Yield every statement of every queue policy."""
    for _, policy in stack.of_type("AWS::SQS::QueuePolicy"):
        yield from as_list(policy["PolicyDocument"].get("Statement"))


def check_functions(stack: Stack) -> Iterator[LocatedProblem]:
    """Check the tracing, failure destination, log group, network and encryption of each function."""
    with_destination = {
        config.get("FunctionName")
        for _, config in stack.of_type("AWS::Lambda::EventInvokeConfig")
        if config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    }
    rules = [rule for _, rule in stack.of_type("AWS::Events::Rule")]
    targets = {target.get("Arn") for rule in rules for target in rule.get("Targets", [])}
    # A rule names a function, or the alias of its published versions.
    aliases = stack.of_type("AWS::Lambda::Alias")
    asynchronous = targets | {
        stack.arn(str(alias.get("FunctionName"))) for name, alias in aliases if stack.ref(name) in targets
    }
    log_groups = {name for name, _ in stack.of_type("AWS::Logs::LogGroup")}
    for name, function in stack.of_type("AWS::Lambda::Function"):
        if function.get("TracingConfig", {}).get("Mode") != "Active":
            yield "tracing", name, "its part of a run is missing in X-Ray; set Tracing to Active"
        if stack.arn(name) in asynchronous and name not in with_destination:
            yield "on-failure", name, "an event is lost after the last failed retry; set an OnFailure destination"
        if function.get("LoggingConfig", {}).get("LogGroup") not in log_groups:
            yield (
                "log-group",
                name,
                "writes to a log group without a retention; set LoggingConfig.LogGroup to a log group of the stack",
            )
        if "VpcConfig" in function:
            yield "no-vpc", name, "calls AWS APIs only, and a VPC would bill endpoints; remove VpcConfig"
        if not function.get("KmsKeyArn"):
            yield "encrypted", name, "its environment is not encrypted with the key of the stack; set KmsKeyArn"


def check_function_urls(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that a function URL requires IAM authentication."""
    for name, url in stack.of_type("AWS::Lambda::Url"):
        if url.get("AuthType") != "AWS_IAM":
            yield "open-url", name, "anyone may call the function URL; set AuthType to AWS_IAM or remove the URL"


def check_queues(stack: Stack) -> Iterator[LocatedProblem]:
    """Check the encryption, the policy and the retention of each queue."""
    tls_only = {
        resource
        for statement in queue_statements(stack)
        if denies_without_tls(statement, "sqs:*")
        for resource in as_list(statement.get("Resource"))
    }
    for name, queue in stack.of_type("AWS::SQS::Queue"):
        if not queue.get("KmsMasterKeyId"):
            yield "encrypted", name, SET_KMS_KEY
        if stack.arn(name) not in tls_only:
            yield (
                "tls-only",
                name,
                "no queue policy denies requests without TLS; deny sqs:* where aws:SecureTransport is false",
            )
        if queue.get("MessageRetentionPeriod", 0) < MAX_RETENTION_SECONDS:
            yield (
                "dead-letters",
                name,
                f"messages may expire before anyone reads them; set MessageRetentionPeriod to {MAX_RETENTION_SECONDS} "
                "(14 days, the maximum)",
            )


def check_event_sources(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that no message of a queue that a function processes is lost or processed twice at a time."""
    functions = {stack.ref(name): function for name, function in stack.of_type("AWS::Lambda::Function")}
    queues = {stack.arn(name): (name, queue) for name, queue in stack.of_type("AWS::SQS::Queue")}
    for name, mapping in stack.of_type("AWS::Lambda::EventSourceMapping"):
        source, queue = queues[mapping["EventSourceArn"]]
        timeout = functions[mapping["FunctionName"]].get("Timeout", DEFAULT_TIMEOUT)
        if queue.get("VisibilityTimeout", 0) < VISIBILITY_FACTOR * timeout:
            yield (
                "visibility-timeout",
                source,
                f"a message may be delivered again while it is processed; set VisibilityTimeout to "
                f"{VISIBILITY_FACTOR * timeout} or more ({VISIBILITY_FACTOR} times the time limit of the function)",
            )
        if queue.get("RedrivePolicy", {}).get("deadLetterTargetArn") not in queues:
            yield "redrive", source, "a message that always fails is lost; set RedrivePolicy to a queue of the stack"
        if "ReportBatchItemFailures" not in mapping.get("FunctionResponseTypes", []):
            yield "partial-batch", name, "one failed message repeats its whole batch; set ReportBatchItemFailures"


def check_topics(stack: Stack) -> Iterator[LocatedProblem]:
    """Check the encryption and the policy of each topic, and that alarms have one of their own."""
    policies = [policy for _, policy in stack.of_type("AWS::SNS::TopicPolicy")]
    tls_only = {
        resource
        for policy in policies
        for statement in as_list(policy["PolicyDocument"].get("Statement"))
        if denies_without_tls(statement, "sns:Publish")
        for resource in as_list(statement.get("Resource"))
        if resource in policy["Topics"]
    }
    alarm_topics = {action for _, alarm in stack.of_type("AWS::CloudWatch::Alarm") for action in alarm["AlarmActions"]}
    functions = [function for _, function in stack.of_type("AWS::Lambda::Function")]
    variables = {value for function in functions for value in function["Environment"]["Variables"].values()}
    for name, topic in stack.of_type("AWS::SNS::Topic"):
        if not topic.get("KmsMasterKeyId"):
            yield "encrypted", name, SET_KMS_KEY
        if stack.ref(name) not in tls_only:
            yield "tls-only", name, "accepts messages without TLS; deny sns:Publish where aws:SecureTransport is false"
        if stack.ref(name) in alarm_topics & variables:
            yield "alarm-topic", name, "mixes alarms with the messages about runs; send alarms to a topic of their own"


def check_state_machines(stack: Stack) -> Iterator[LocatedProblem]:
    """Check the logging, tracing and versions of each state machine."""
    has_alias = any(True for _ in stack.of_type("AWS::StepFunctions::StateMachineAlias"))
    versions = stack.of_type("AWS::StepFunctions::StateMachineVersion")
    with_version = {version.get("StateMachineArn") for _, version in versions} if has_alias else set()
    for name, machine in stack.of_type("AWS::StepFunctions::StateMachine"):
        logging = machine.get("LoggingConfiguration", {})
        if logging.get("Level") != "ERROR" or not logging.get("Destinations"):
            yield "machine-log", name, "must log errors and nothing else; set Level to ERROR and add a destination"
        if logging.get("IncludeExecutionData") is not False:
            yield (
                "execution-data",
                name,
                "logs the plan, which contains the sample name; set IncludeExecutionData to false",
            )
        if machine.get("TracingConfiguration", {}).get("Enabled") is not True:
            yield "tracing", name, "a run is not shown as one trace in X-Ray; set Tracing.Enabled to true"
        if stack.ref(name) not in with_version:
            yield "published-version", name, "a deployment changes runs in progress; set AutoPublishAlias"


def check_alarms(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that each alarm notifies a topic, and that each function, dead-letter queue and rule has an alarm."""
    topic_arns = {stack.arn(name) for name, _ in stack.of_type("AWS::SNS::Topic")}
    metrics = set()
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm"):
        for metric in alarm_metrics(alarm):
            for dimension in metric.get("Dimensions", []):
                metrics.add((metric.get("Namespace"), metric.get("MetricName"), dimension["Value"]))
            if metric.get("Namespace") == "AWS/States":
                yield "second-message", name, "record_run sends a message for every ended run; remove the alarm"
        if not set(alarm.get("AlarmActions", [])) & topic_arns:
            yield "silent-alarm", name, "the alarm notifies nobody; add a topic of the stack to AlarmActions"
    for subject, namespace, metric_name in metrics_with_alarm(stack):
        if (namespace, metric_name, subject) not in metrics:
            yield "missing-alarm", subject.partition(".")[0], f"no alarm watches its {namespace} {metric_name}; add one"


def metrics_with_alarm(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """Yield what needs an alarm: the errors of functions, messages of dead-letter queues and lost events of rules."""
    for name, _ in stack.of_type("AWS::Lambda::Function"):
        yield stack.ref(name), "AWS/Lambda", "Errors"
    rules = [rule for _, rule in stack.of_type("AWS::Events::Rule")]
    letters = {target.get("DeadLetterConfig", {}).get("Arn") for rule in rules for target in rule.get("Targets", [])}
    for name, _ in stack.of_type("AWS::SQS::Queue"):
        if stack.arn(name) in letters:
            yield f"{name}.QueueName", "AWS/SQS", "ApproximateNumberOfMessagesVisible"
    for name, _ in stack.of_type("AWS::Events::Rule"):
        yield stack.ref(name), "AWS/Events", LOST_EVENTS


def alarm_metrics(alarm: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield each metric of an alarm: its only one, or those of its expression."""
    yield from (query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query)
    if "MetricName" in alarm:
        yield alarm


def check_security_groups(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that a security group accepts connections from security groups only."""
    for name, group in stack.of_type("AWS::EC2::SecurityGroup"):
        for rule in group.get("SecurityGroupIngress", []):
            if "SourceSecurityGroupId" not in rule:
                yield (
                    "open-port",
                    name,
                    f"accepts connections from {rule.get('CidrIp', rule)}; allow a SourceSecurityGroupId instead",
                )


def check_endpoints(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that a private network has the endpoints it needs, each with a policy that names actions and resources."""
    private = is_private(stack)
    for name, endpoint in stack.of_type("AWS::EC2::VPCEndpoint"):
        statements = as_list(endpoint.get("PolicyDocument", {}).get("Statement"))
        if private and not statements:
            yield "endpoint-policy", name, "lets a private network use resources of every account; add a PolicyDocument"
        if endpoint.get("ServiceName", "").endswith(NEEDLESS_ENDPOINTS):
            yield "needless-endpoint", name, "is billed by the hour, and no instance calls this service; remove it"
        for statement in statements:
            actions = as_list(statement.get("Action"))
            everywhere = "*" in as_list(statement.get("Resource")) and not all(map(lacks_resource_types, actions))
            if everywhere or "*" in actions:
                yield "endpoint-policy", name, "its policy allows `*`; name the actions and resources"


def check_subnets(stack: Stack) -> Iterator[LocatedProblem]:
    """Check that the instances of a private network have no public addresses."""
    private = is_private(stack)
    for name, subnet in stack.of_type("AWS::EC2::Subnet"):
        if private and subnet.get("MapPublicIpOnLaunch"):
            yield (
                "public-address",
                name,
                "gives instances of a private network a public address; set MapPublicIpOnLaunch to false",
            )


def is_private(stack: Stack) -> bool:
    """Return whether the stack has no internet gateway."""
    return not dict(stack.of_type("AWS::EC2::InternetGateway"))
