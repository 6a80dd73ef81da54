"""HTTP APIs of API Gateway in front of functions; `embedded_aws.http_apis` answers their requests."""

from embedded_aws import aws
from embedded_aws.api_requests import request
from embedded_aws.http_apis import address
from embedded_aws.stack import CreatedResource, ResourceSpec
from embedded_aws.template import TemplateError


def api(spec: ResourceSpec) -> CreatedResource:
    """Create an API; its endpoint is a path of this server."""
    parameters = request("apigatewayv2", "CreateApi", spec.properties)
    api_id = aws.client("apigatewayv2").create_api(**parameters)["ApiId"]
    return CreatedResource(api_id, {"ApiEndpoint": address(api_id), "ApiId": api_id})


def integration(spec: ResourceSpec) -> CreatedResource:
    """Create an integration; raise TemplateError for one that this server cannot call."""
    kind = (spec.properties["IntegrationType"], spec.properties.get("PayloadFormatVersion"))
    if kind != ("AWS_PROXY", "2.0"):
        raise TemplateError(f"{spec.logical_id}: this AWS has integrations AWS_PROXY with payload 2.0 alone")
    parameters = request("apigatewayv2", "CreateIntegration", spec.properties)
    return CreatedResource(aws.client("apigatewayv2").create_integration(**parameters)["IntegrationId"])


def route(spec: ResourceSpec) -> CreatedResource:
    """Create a route; raise TemplateError for one that this server does not serve as AWS does."""
    key, kind = spec.properties["RouteKey"], spec.properties.get("AuthorizationType", "NONE")
    if key != "$default" or kind != "AWS_IAM":
        raise TemplateError(
            f"{spec.logical_id}: this AWS has the route $default with AWS_IAM alone, not {key} with {kind}"
        )
    parameters = request("apigatewayv2", "CreateRoute", spec.properties)
    return CreatedResource(aws.client("apigatewayv2").create_route(**parameters)["RouteId"])


def stage(spec: ResourceSpec) -> CreatedResource:
    """Create a stage. Its limits are not applied."""
    parameters = request("apigatewayv2", "CreateStage", spec.properties)
    return CreatedResource(aws.client("apigatewayv2").create_stage(**parameters)["StageName"])
