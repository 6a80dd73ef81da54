"""How to create each type of resource. Other types get a placeholder id, and the server reports them as skipped."""

from embedded_aws.stack import Creator

from . import batch, events, functions, http_apis, logs_and_roles, messaging, state_machines, storage

CREATORS: dict[str, Creator] = {
    "AWS::ApiGatewayV2::Api": http_apis.api,
    "AWS::ApiGatewayV2::Integration": http_apis.integration,
    "AWS::ApiGatewayV2::Route": http_apis.route,
    "AWS::ApiGatewayV2::Stage": http_apis.stage,
    "AWS::Batch::ComputeEnvironment": batch.compute_environment,
    "AWS::Batch::JobDefinition": batch.job_definition,
    "AWS::Batch::JobQueue": batch.job_queue,
    "AWS::DynamoDB::Table": storage.table,
    "AWS::Events::EventBus": events.bus,
    "AWS::Events::Rule": events.rule,
    "AWS::IAM::Role": logs_and_roles.role,
    "AWS::Lambda::Alias": functions.alias,
    "AWS::Lambda::EventInvokeConfig": functions.event_invoke_config,
    "AWS::Lambda::EventSourceMapping": functions.event_source_mapping,
    "AWS::Lambda::Function": functions.function,
    "AWS::Lambda::LayerVersion": functions.layer,
    "AWS::Lambda::Permission": functions.permission,
    "AWS::Lambda::Version": functions.version,
    "AWS::Logs::LogGroup": logs_and_roles.log_group,
    "AWS::S3::Bucket": storage.bucket,
    "AWS::SNS::Subscription": messaging.subscription,
    "AWS::SNS::Topic": messaging.topic,
    "AWS::SQS::Queue": messaging.queue,
    "AWS::StepFunctions::StateMachine": state_machines.machine,
    "AWS::StepFunctions::StateMachineAlias": state_machines.alias,
    "AWS::StepFunctions::StateMachineVersion": state_machines.version,
}
