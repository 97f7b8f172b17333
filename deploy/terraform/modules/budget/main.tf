# What it may cost: budgets of the whole and of each part, an eye on anomalies, and the bill of the day before by mail.

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.region
  aws     = data.aws_partition.current.partition
  # Tags are filtered as KEY$VALUE. Activate the tag once as a cost allocation tag, or the budgets stay at 0.
  filter = "user:${var.tag.key}${"$"}${var.tag.value}"
}

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

resource "aws_ce_cost_allocation_tag" "deployment" {
  count   = var.activate_tag ? 1 : 0
  tag_key = var.tag.key
  status  = "Active"
}

resource "aws_budgets_budget" "all" {
  name         = var.name
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(var.monthly_usd)
  limit_unit   = "USD"
  cost_filter {
    name   = "TagKeyValue"
    values = [local.filter]
  }
  dynamic "notification" {
    for_each = { half = ["ACTUAL", 50], most = ["ACTUAL", 80], all = ["ACTUAL", 100], ahead = ["FORECASTED", 100] }
    content {
      notification_type          = notification.value[0]
      threshold                  = notification.value[1]
      threshold_type             = "PERCENTAGE"
      comparison_operator        = "GREATER_THAN"
      subscriber_email_addresses = var.mail
      subscriber_sns_topic_arns  = [var.topic_arn]
    }
  }
}

# A tier is a part of the bill with a limit of its own: the models on Bedrock, GPU machines, the rest.
resource "aws_budgets_budget" "tier" {
  for_each     = var.tiers
  name         = "${var.name}-${each.key}"
  budget_type  = "COST"
  time_unit    = "MONTHLY"
  limit_amount = tostring(each.value.monthly_usd)
  limit_unit   = "USD"
  cost_filter {
    name   = "Service"
    values = each.value.services
  }
  cost_filter {
    name   = "TagKeyValue"
    values = [local.filter]
  }
  notification {
    notification_type          = "ACTUAL"
    threshold                  = 80
    threshold_type             = "PERCENTAGE"
    comparison_operator        = "GREATER_THAN"
    subscriber_email_addresses = var.mail
    subscriber_sns_topic_arns  = [var.topic_arn]
  }
}

resource "aws_ce_anomaly_monitor" "deployment" {
  name         = var.name
  monitor_type = "CUSTOM"
  monitor_specification = jsonencode({
    And            = null
    CostCategories = null
    Dimensions     = null
    Not            = null
    Or             = null
    Tags           = { Key = "user:${var.tag.key}", MatchOptions = null, Values = [var.tag.value] }
  })
}

resource "aws_ce_anomaly_subscription" "deployment" {
  name             = var.name
  frequency        = "IMMEDIATE" # by the topic; mail alone would be once a day
  monitor_arn_list = [aws_ce_anomaly_monitor.deployment.arn]
  subscriber {
    type    = "SNS"
    address = var.topic_arn
  }
  threshold_expression {
    dimension {
      key           = "ANOMALY_TOTAL_IMPACT_ABSOLUTE"
      match_options = ["GREATER_THAN_OR_EQUAL"]
      values        = [tostring(var.anomaly_usd)]
    }
  }
}
