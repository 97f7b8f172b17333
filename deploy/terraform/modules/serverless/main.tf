# Small: the gateway with the router in its own process, as one container on Lambda. Idle it costs nothing.

locals {
  upstream_keys = merge(var.secrets, { LLM_ROUTER_HASH_KEY = var.state.hash_key_secret_arn })
  account       = data.aws_caller_identity.current.account_id
  region        = data.aws_region.current.region
  aws           = data.aws_partition.current.partition
}

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

resource "aws_ssm_parameter" "router_yaml" {
  name        = "/${var.name}/router.yaml"
  description = "router.yaml of the LLM router"
  type        = "SecureString"
  tier        = "Intelligent-Tiering"
  key_id      = var.state.kms_key_arn
  value       = var.router_yaml
}

resource "aws_cloudwatch_log_group" "router" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.state.kms_key_arn
}

resource "aws_iam_role" "router" {
  name = "${var.name}-lambda"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "router" {
  name = "router"
  role = aws_iam_role.router.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      var.state.statements,
      [
        {
          Sid      = "Logs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = ["${aws_cloudwatch_log_group.router.arn}:*"]
        },
        {
          Sid      = "Configuration"
          Effect   = "Allow"
          Action   = ["ssm:GetParameter"]
          Resource = [aws_ssm_parameter.router_yaml.arn]
        },
      ],
      length(var.bedrock_models) > 0 ? [{
        Sid      = "Models"
        Effect   = "Allow"
        Action   = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
        Resource = var.bedrock_models
      }] : [],
      length(local.upstream_keys) > 0 ? [{
        Sid      = "Keys"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = values(local.upstream_keys)
      }] : [],
      var.network == null ? [] : [{
        # Lambda's own interfaces in the network; AWS lets none of these be narrowed to a resource.
        Sid       = "Network"
        Effect    = "Allow"
        Action    = ["ec2:CreateNetworkInterface", "ec2:DescribeNetworkInterfaces", "ec2:DeleteNetworkInterface"]
        Resource  = ["*"]
        Condition = { StringEquals = { "aws:RequestedRegion" = local.region } }
      }],
    )
  })
}

resource "aws_security_group" "router" {
  count       = var.network == null ? 0 : 1
  name        = "${var.name}-lambda"
  description = "The LLM router on Lambda: nothing comes in by the network"
  vpc_id      = var.network.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "https" {
  count             = var.network == null ? 0 : 1
  security_group_id = aws_security_group.router[0].id
  description       = "Models, DynamoDB and other services of AWS"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_lambda_function" "router" {
  function_name                  = var.name
  description                    = "LLM router: OpenAI's API in front of several models"
  role                           = aws_iam_role.router.arn
  package_type                   = "Image"
  image_uri                      = var.image
  architectures                  = ["x86_64"]
  memory_size                    = var.memory_mb
  timeout                        = var.timeout_seconds
  reserved_concurrent_executions = var.concurrency
  kms_key_arn                    = var.state.kms_key_arn
  environment {
    variables = merge(var.environment, {
      LLM_ROUTER_CONFIG_PARAMETER = aws_ssm_parameter.router_yaml.name
      # A change of the file is a change of the function: instances with the old one end.
      LLM_ROUTER_CONFIG_VERSION = aws_ssm_parameter.router_yaml.version
      LLM_ROUTER_SECRETS        = join(",", [for name, arn in local.upstream_keys : "${name}=${arn}"])
      LLM_ROUTER_STATE_DIR      = "/tmp/llm-router"
    })
  }
  tracing_config {
    mode = "Active"
  }
  dynamic "vpc_config" {
    for_each = var.network == null ? [] : [var.network]
    content {
      subnet_ids         = vpc_config.value.subnet_ids
      security_group_ids = [aws_security_group.router[0].id]
    }
  }
  depends_on = [aws_cloudwatch_log_group.router, aws_iam_role_policy.router]
}

resource "aws_iam_role_policy_attachment" "xray" {
  role       = aws_iam_role.router.name
  policy_arn = "arn:${local.aws}:iam::aws:policy/AWSXRayDaemonWriteAccess"
}

# The way in: a REST API that passes everything on and streams what comes back. The router answers nobody without an API key: it
# listens to more than loopback, and then refuses to start without keys.
resource "aws_api_gateway_rest_api" "router" {
  name        = var.name
  description = "LLM router: OpenAI's API"
  endpoint_configuration {
    types = ["REGIONAL"]
  }
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_resource" "all" {
  rest_api_id = aws_api_gateway_rest_api.router.id
  parent_id   = aws_api_gateway_rest_api.router.root_resource_id
  path_part   = "{proxy+}"
}

resource "aws_api_gateway_method" "all" {
  rest_api_id   = aws_api_gateway_rest_api.router.id
  resource_id   = aws_api_gateway_resource.all.id
  http_method   = "ANY"
  authorization = var.authorization
}

resource "aws_api_gateway_integration" "all" {
  rest_api_id             = aws_api_gateway_rest_api.router.id
  resource_id             = aws_api_gateway_resource.all.id
  http_method             = aws_api_gateway_method.all.http_method
  type                    = "AWS_PROXY"
  integration_http_method = "POST"
  response_transfer_mode  = "STREAM"
  timeout_milliseconds    = var.timeout_seconds * 1000
  uri                     = "arn:${local.aws}:apigateway:${local.region}:lambda:path/2021-11-15/functions/${aws_lambda_function.router.arn}/response-streaming-invocations"
}

resource "aws_api_gateway_deployment" "router" {
  rest_api_id = aws_api_gateway_rest_api.router.id
  triggers = {
    what = sha1(jsonencode([aws_api_gateway_resource.all.path_part, aws_api_gateway_method.all.authorization, aws_api_gateway_integration.all.uri, var.timeout_seconds]))
  }
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_api_gateway_stage" "live" {
  rest_api_id          = aws_api_gateway_rest_api.router.id
  deployment_id        = aws_api_gateway_deployment.router.id
  stage_name           = "live"
  xray_tracing_enabled = true
}

resource "aws_api_gateway_method_settings" "all" {
  rest_api_id = aws_api_gateway_rest_api.router.id
  stage_name  = aws_api_gateway_stage.live.stage_name
  method_path = "*/*"
  settings {
    metrics_enabled        = true
    logging_level          = "OFF" # the router logs each request, without its content
    throttling_rate_limit  = var.requests_per_second
    throttling_burst_limit = 2 * var.requests_per_second
  }
}

resource "aws_lambda_permission" "api" {
  statement_id  = "api"
  function_name = aws_lambda_function.router.function_name
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_api_gateway_rest_api.router.execution_arn}/*/*"
}
