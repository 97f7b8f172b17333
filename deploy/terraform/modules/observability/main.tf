# Alarms, saved queries and a dashboard over what the gateways log. alarms.json and queries.json are written from the same table as
# Prometheus' rules: `make docs`.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}

locals {
  alarms = jsondecode(file("${path.module}/alarms.json"))
  # One of each model, with its own limit.
  each = merge(
    { for name, alarm in local.alarms : name => merge(alarm, { dimensions = {} }) if !alarm.by_model },
    merge([for name, alarm in local.alarms : {
      for model, tokens in var.tokens_per_day : "${name}-${model}" => merge(alarm, { dimensions = { model = model }, threshold = tokens })
    } if alarm.by_model]...),
  )
}

resource "aws_sns_topic" "alarms" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "alarms" {
  arn = aws_sns_topic.alarms.arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "costalerts.amazonaws.com"] }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms.arn
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "mail" {
  for_each  = toset(var.mail)
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = each.key
}

resource "aws_cloudwatch_metric_alarm" "router" {
  for_each            = local.each
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = var.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  period              = each.value.period
  evaluation_periods  = each.value.periods
  treat_missing_data  = "notBreaching" # without traffic there is nothing to say
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
}

resource "aws_cloudwatch_query_definition" "router" {
  for_each        = jsondecode(file("${path.module}/queries.json"))
  name            = "${var.name}/${each.key}"
  log_group_names = [var.log_group]
  query_string    = each.value
}

resource "aws_cloudwatch_dashboard" "router" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = concat(
      [for index, widget in [
        { title = "Decision, ms", metrics = [[var.namespace, "decision_ms", { stat = "p50" }], [var.namespace, "decision_ms", { stat = "p99" }]] },
        { title = "Share of the most expensive model", metrics = [[var.namespace, "most_expensive", { stat = "Average" }]] },
        { title = "Classifier right, of labelled feedback", metrics = [[var.namespace, "task_correct", { stat = "Average" }]] },
        { title = "Cost, USD", metrics = [[var.namespace, "cost_usd", { stat = "Sum" }]] },
        ] : {
        type = "metric", width = 12, height = 6, x = 12 * (index % 2), y = 6 * floor(index / 2)
        properties = {
          title = widget.title, metrics = widget.metrics, period = 3600, region = data.aws_region.current.region, view = "timeSeries"
        }
      }],
      [{
        type = "log", width = 24, height = 8, x = 0, y = 12
        properties = {
          title = "Requests by hour and model", region = data.aws_region.current.region, view = "table"
          query = "SOURCE '${var.log_group}' | ${jsondecode(file("${path.module}/queries.json"))["distribution-per-hour"]}"
        }
      }],
    )
  })
}
