# Medium: gateway and Triton side by side in each task on Fargate, behind a load balancer with TLS. They speak over loopback; what
# tasks learn they share by the table.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  upstream_keys = merge(var.secrets, { LLM_ROUTER_HASH_KEY = var.state.hash_key_secret_arn })
  account       = data.aws_caller_identity.current.account_id
  region        = data.aws_region.current.region
  config        = "/tmp/router.yaml"
  logging = {
    logDriver = "awslogs"
    options = {
      "awslogs-group"         = aws_cloudwatch_log_group.router.name
      "awslogs-region"        = local.region
      "awslogs-stream-prefix" = "router"
      mode                    = "non-blocking"
      "max-buffer-size"       = "25m"
    }
  }
  environment = [for name, value in merge(var.environment, {
    AWS_REGION                  = local.region
    LLM_ROUTER_CONFIG_PARAMETER = aws_ssm_parameter.router_yaml.name
    LLM_ROUTER_CONFIG_VERSION   = tostring(aws_ssm_parameter.router_yaml.version)
    LLM_ROUTER_CONFIG           = local.config
  }) : { name = name, value = value }]
  secrets = [for name, arn in local.upstream_keys : { name = name, valueFrom = arn }]
}

resource "aws_ssm_parameter" "router_yaml" {
  name        = "/${var.name}/router.yaml"
  description = "router.yaml of the LLM router"
  type        = "SecureString"
  tier        = "Intelligent-Tiering"
  key_id      = var.state.kms_key_arn
  value       = var.router_yaml
}

resource "aws_cloudwatch_log_group" "router" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.state.kms_key_arn
}

resource "aws_ecs_cluster" "router" {
  name = var.name
  setting {
    name  = "containerInsights"
    value = "enhanced"
  }
}

resource "aws_ecs_task_definition" "router" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory_mb
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn
  runtime_platform {
    cpu_architecture        = "X86_64"
    operating_system_family = "LINUX"
  }
  container_definitions = jsonencode([
    {
      name       = "triton"
      image      = var.images.triton
      essential  = true
      entryPoint = ["python3", "-m", "router_backend.launcher.from_aws"]
      # Loopback alone: Triton's ports ask for no key.
      command          = ["--", "python3", "-m", "router_backend.triton.server.container", "--host", "127.0.0.1"]
      environment      = local.environment
      secrets          = local.secrets
      logConfiguration = local.logging
      stopTimeout      = 120
      healthCheck = {
        command     = ["CMD", "curl", "--fail", "--silent", "http://127.0.0.1:8000/v2/health/ready"]
        interval    = 10
        timeout     = 5
        retries     = 6
        startPeriod = 300
      }
      linuxParameters = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    },
    {
      name       = "gateway"
      image      = var.images.gateway
      essential  = true
      dependsOn  = [{ containerName = "triton", condition = "HEALTHY" }]
      entryPoint = ["python", "-m", "router_backend.launcher.from_aws"]
      command = [
        "--", "python", "-m", "router_backend.gateway", "--config", local.config, "--host", "0.0.0.0",
        "--triton-url", "http://127.0.0.1:8000", "--journal", "/var/lib/llm-router/journal",
      ]
      environment      = local.environment
      secrets          = local.secrets
      portMappings     = [{ containerPort = 8080, protocol = "tcp" }]
      logConfiguration = local.logging
      # The longest that ECS waits for answers that are under way.
      stopTimeout = 120
      healthCheck = {
        command     = ["CMD", "python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/health/live', timeout=4)"]
        interval    = 10
        timeout     = 5
        retries     = 6
        startPeriod = 60
      }
      linuxParameters = { initProcessEnabled = true, capabilities = { drop = ["ALL"] } }
    },
  ])
}

resource "aws_ecs_service" "router" {
  name                               = var.name
  cluster                            = aws_ecs_cluster.router.id
  task_definition                    = aws_ecs_task_definition.router.arn
  launch_type                        = "FARGATE"
  platform_version                   = "LATEST"
  desired_count                      = var.tasks.min
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 300
  propagate_tags                     = "SERVICE"
  enable_ecs_managed_tags            = true
  network_configuration {
    subnets          = var.network.private_subnet_ids
    security_groups  = [aws_security_group.task.id]
    assign_public_ip = false
  }
  load_balancer {
    target_group_arn = aws_lb_target_group.gateway.arn
    container_name   = "gateway"
    container_port   = 8080
  }
  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }
  lifecycle {
    ignore_changes = [desired_count] # the autoscaler's
  }
  depends_on = [aws_lb_listener.https, aws_iam_role_policy.task, aws_iam_role_policy.execution]
}
