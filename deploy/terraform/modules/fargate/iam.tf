locals {
  ecs_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

# What ECS itself does before a task runs: pull images, write logs, read the upstreams' keys.
resource "aws_iam_role" "execution" {
  name               = "${var.name}-execution"
  assume_role_policy = local.ecs_tasks
}

resource "aws_iam_role_policy" "execution" {
  name = "start"
  role = aws_iam_role.execution.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          # AWS knows no resource for it.
          Sid      = "RegistryLogin"
          Effect   = "Allow"
          Action   = ["ecr:GetAuthorizationToken"]
          Resource = ["*"]
        },
        {
          Sid      = "Images"
          Effect   = "Allow"
          Action   = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
          Resource = var.repository_arns
        },
        {
          Sid      = "Logs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = ["${aws_cloudwatch_log_group.router.arn}:*"]
        },
      ],
      [for statement in [
        {
          Sid      = "Keys"
          Effect   = "Allow"
          Action   = ["secretsmanager:GetSecretValue"]
          Resource = values(local.upstream_keys)
        },
        {
          Sid       = "KeysKey"
          Effect    = "Allow"
          Action    = ["kms:Decrypt"]
          Resource  = [var.state.kms_key_arn]
          Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${local.region}.amazonaws.com" } }
        },
      ] : statement if length(local.upstream_keys) > 0],
    )
  })
}

# What the router does.
resource "aws_iam_role" "task" {
  name               = "${var.name}-task"
  assume_role_policy = local.ecs_tasks
}

resource "aws_iam_role_policy" "task" {
  name = "router"
  role = aws_iam_role.task.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      var.state.statements,
      try(var.batches.statements, []),
      [{
        Sid      = "Configuration"
        Effect   = "Allow"
        Action   = ["ssm:GetParameter"]
        Resource = [aws_ssm_parameter.router_yaml.arn]
      }],
      length(var.bedrock_models) > 0 ? [{
        Sid      = "Models"
        Effect   = "Allow"
        Action   = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
        Resource = var.bedrock_models
      }] : [],
    )
  })
}
