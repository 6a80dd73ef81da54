"""What moves: rules, functions, queues, topics, machines, alarms, the network. Nothing is lost in silence or open."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import Finding
from .storage import denies_without_tls
from .template import Said, Stack, Template, judged, listed

GATE = "events"
METRICS_WATCHED = (
    ("AWS/SQS", "ApproximateNumberOfMessagesVisible"),
    ("AWS/States", "ExecutionsFailed"),
    ("AWS/States", "ExecutionsTimedOut"),
    ("AWS/States", "ExecutionsAborted"),
    ("AWS/Lambda", "Errors"),
)


def check(template: Template) -> list[Finding]:
    return judged(template, GATE, judge)


def judge(stack: Stack) -> Said:
    for rules in (targets, functions, queues, topics, state_machines, alarms, network):
        yield from rules(stack)


def targets(stack: Stack) -> Said:
    """What EventBridge cannot deliver is kept."""
    letters = {stack.arn(name) for name, _ in stack.of_type("AWS::SQS::Queue")}
    accepting = set(takes_events(stack))
    for name, rule in stack.of_type("AWS::Events::Rule"):
        for target in rule.get("Targets", []):
            queue = target.get("DeadLetterConfig", {}).get("Arn")
            if queue not in letters:
                yield "dead-letters", name, f"an event that {target.get('Arn')} does not take is lost"
            elif queue not in accepting:
                yield (
                    "dead-letter-policy",
                    name,
                    f"{queue} takes nothing from this account's rules",
                )
            if not target.get("RetryPolicy", {}).get("MaximumEventAgeInSeconds"):
                yield "retry-policy", name, "how long it is tried is not said"


def takes_events(stack: Stack) -> Iterator[str]:
    """Queues whose policy lets EventBridge send for named rules."""
    for _, policy in stack.of_type("AWS::SQS::QueuePolicy"):
        for statement in listed(policy["PolicyDocument"].get("Statement")):
            named = {key for tests in statement.get("Condition", {}).values() for key in tests}
            principal = statement.get("Principal")
            sender = listed(principal.get("Service")) if isinstance(principal, dict) else []
            if statement.get("Effect") == "Allow" and "events.amazonaws.com" in sender and "aws:SourceArn" in named:
                yield from listed(statement.get("Resource"))


def functions(stack: Stack) -> Said:
    kept = {
        config.get("FunctionName")
        for _, config in stack.of_type("AWS::Lambda::EventInvokeConfig")
        if config.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination")
    }
    rules = [rule for _, rule in stack.of_type("AWS::Events::Rule")]
    asynchronous = {target.get("Arn") for rule in rules for target in rule.get("Targets", [])}
    groups = {name for name, _ in stack.of_type("AWS::Logs::LogGroup")}
    for name, function in stack.of_type("AWS::Lambda::Function"):
        if function.get("TracingConfig", {}).get("Mode") != "Active":
            yield "tracing", name, "its part of a run is not seen"
        if stack.arn(name) in asynchronous and name not in kept:
            yield "on-failure", name, "an event it fails on is lost after the last try"
        if function.get("LoggingConfig", {}).get("LogGroup") not in groups:
            yield "log-group", name, "writes to a log group that nobody set a retention on"
        if "VpcConfig" in function:
            yield "no-vpc", name, "functions reach AWS only; a VPC would bill a way out"
        if not function.get("KmsKeyArn"):
            yield "encrypted", name, "its environment is not under our key"
    yield from urls(stack)


def urls(stack: Stack) -> Said:
    for name, url in stack.of_type("AWS::Lambda::Url"):
        if url.get("AuthType") != "AWS_IAM":
            yield "open-url", name, "anybody may call it"


def queues(stack: Stack) -> Said:
    protected = {
        resource
        for _, policy in stack.of_type("AWS::SQS::QueuePolicy")
        for statement in listed(policy["PolicyDocument"].get("Statement"))
        if denies_without_tls(statement, "sqs:*")
        for resource in listed(statement.get("Resource"))
    }
    for name, queue in stack.of_type("AWS::SQS::Queue"):
        if not queue.get("KmsMasterKeyId"):
            yield "encrypted", name, "not with our key"
        if stack.arn(name) not in protected:
            yield "tls-only", name, "no policy denies what comes without TLS"
        if queue.get("MessageRetentionPeriod", 0) < 1209600:
            yield "dead-letters", name, "14 days are the most, and what an alarm on a Friday needs"


def topics(stack: Stack) -> Said:
    for name, topic in stack.of_type("AWS::SNS::Topic"):
        if not topic.get("KmsMasterKeyId"):
            yield "encrypted", name, "not with our key"


def state_machines(stack: Stack) -> Said:
    published = {
        version.get("StateMachineArn")
        for _, version in stack.of_type("AWS::StepFunctions::StateMachineVersion")
        if any(True for _ in stack.of_type("AWS::StepFunctions::StateMachineAlias"))
    }
    for name, machine in stack.of_type("AWS::StepFunctions::StateMachine"):
        logging = machine.get("LoggingConfiguration", {})
        if logging.get("Level") != "ERROR" or not logging.get("Destinations"):
            yield "machine-log", name, "errors are logged, and only they"
        if logging.get("IncludeExecutionData") is not False:
            yield "execution-data", name, "a plan names a sample: it goes into no log"
        if machine.get("TracingConfiguration", {}).get("Enabled") is not True:
            yield "tracing", name, "a run is not seen as one"
        if stack.ref(name) not in published:
            yield "published-version", name, "a deployment would change runs that are under way"


def alarms(stack: Stack) -> Said:
    topics_there = {stack.arn(name) for name, _ in stack.of_type("AWS::SNS::Topic")}
    watched = set()
    for name, alarm in stack.of_type("AWS::CloudWatch::Alarm"):
        watched.add((alarm.get("Namespace"), alarm.get("MetricName")))
        if not set(alarm.get("AlarmActions", [])) & topics_there:
            yield "silent-alarm", name, "nobody is told"
    for namespace, metric in METRICS_WATCHED:
        if (namespace, metric) not in watched:
            yield "unwatched", metric, f"no alarm on {namespace} {metric}"


def network(stack: Stack) -> Said:
    for name, group in stack.of_type("AWS::EC2::SecurityGroup"):
        for rule in group.get("SecurityGroupIngress", []):
            if "SourceSecurityGroupId" not in rule:
                yield "open-port", name, f"{rule.get('CidrIp', rule)} may come in"
    private = not dict(stack.of_type("AWS::EC2::InternetGateway"))
    for name, endpoint in stack.of_type("AWS::EC2::VPCEndpoint"):
        statements = listed(endpoint.get("PolicyDocument", {}).get("Statement"))
        if private and endpoint.get("VpcEndpointType") == "Gateway" and not statements:
            yield "endpoint-policy", name, "a private network whose way to S3 leads to everybody's buckets"
        for statement in statements:
            if "*" in listed(statement.get("Resource")) or "*" in listed(statement.get("Action")):
                yield "endpoint-policy", name, "leads to everything"
    for name, instance in stack.of_type("AWS::EC2::Subnet"):
        if private and instance.get("MapPublicIpOnLaunch"):
            yield "public-address", name, "no instance of a private network has one"
