# The daily report needs no code of its own: a state machine asks Cost Explorer, lays out the lines and publishes them.

resource "aws_cloudwatch_log_group" "report" {
  name              = "/aws/vendedlogs/states/${var.name}-cost-report"
  retention_in_days = 365
  kms_key_id        = var.kms_key_arn
}

resource "aws_iam_role" "report" {
  name = "${var.name}-cost-report"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "report" {
  name = "report"
  role = aws_iam_role.report.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Cost Explorer knows no resource for it.
        Sid      = "Costs"
        Effect   = "Allow"
        Action   = ["ce:GetCostAndUsage"]
        Resource = ["*"]
      },
      {
        Sid      = "Mail"
        Effect   = "Allow"
        Action   = ["sns:Publish"]
        Resource = [var.topic_arn]
      },
      {
        Sid       = "TopicKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = [var.kms_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "sns.${local.region}.amazonaws.com" } }
      },
      {
        # Step Functions' own way to write logs; AWS lets none of these be narrowed to a group.
        Sid    = "Logs"
        Effect = "Allow"
        Action = [
          "logs:CreateLogDelivery", "logs:GetLogDelivery", "logs:UpdateLogDelivery", "logs:DeleteLogDelivery",
          "logs:ListLogDeliveries", "logs:PutResourcePolicy", "logs:DescribeResourcePolicies", "logs:DescribeLogGroups",
        ]
        Resource = ["*"]
      },
      {
        Sid      = "Traces"
        Effect   = "Allow"
        Action   = ["xray:PutTraceSegments", "xray:PutTelemetryRecords"]
        Resource = ["*"]
      },
    ]
  })
}

resource "aws_sfn_state_machine" "report" {
  name       = "${var.name}-cost-report"
  role_arn   = aws_iam_role.report.arn
  definition = templatefile("${path.module}/report.asl.json", { topic = var.topic_arn, tag_key = var.tag.key, tag_value = var.tag.value, name = var.name, partition = local.aws })
  logging_configuration {
    log_destination        = "${aws_cloudwatch_log_group.report.arn}:*"
    level                  = "ERROR"
    include_execution_data = true
  }
  tracing_configuration {
    enabled = true
  }
  depends_on = [aws_iam_role_policy.report]
}

resource "aws_iam_role" "schedule" {
  name = "${var.name}-cost-report-schedule"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "schedule" {
  name = "start"
  role = aws_iam_role.schedule.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = ["states:StartExecution"], Resource = [aws_sfn_state_machine.report.arn] },
      {
        Effect    = "Allow"
        Action    = ["kms:Decrypt"]
        Resource  = [var.kms_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "scheduler.${local.region}.amazonaws.com" } }
      },
    ]
  })
}

resource "aws_scheduler_schedule" "report" {
  name                         = "${var.name}-cost-report"
  description                  = "The bill of the day before, by mail"
  schedule_expression          = var.report.schedule
  schedule_expression_timezone = var.report.timezone
  kms_key_arn                  = var.kms_key_arn
  flexible_time_window {
    mode = "OFF"
  }
  target {
    arn      = aws_sfn_state_machine.report.arn
    role_arn = aws_iam_role.schedule.arn
  }
}
