# Small, to about 1,000 requests a day: Lambda, models on Bedrock, DynamoDB. Nothing runs, and little is paid, while nobody asks.

data "aws_caller_identity" "current" {}

locals {
  # Models are called by the inference profile of the region's part of the world, which may send a call to any region of it.
  geography = lookup({ ap = "apac" }, split("-", var.region)[0], split("-", var.region)[0])
  models    = ["amazon.nova-micro-v1:0", "amazon.nova-pro-v1:0"]
  bedrock_models = concat(
    [for model in local.models : "arn:aws:bedrock:${var.region}:${data.aws_caller_identity.current.account_id}:inference-profile/${local.geography}.${model}"],
    [for model in local.models : "arn:aws:bedrock:*::foundation-model/${model}"],
  )
}

module "state" {
  source   = "../../modules/state"
  name     = var.name
  existing = var.existing_state
}

module "images" {
  source      = "../../modules/images"
  name        = var.name
  images      = ["lambda"]
  kms_key_arn = module.state.kms_key_arn
}

module "serverless" {
  source         = "../../modules/serverless"
  name           = var.name
  image          = "${module.images.urls["lambda"]}:${var.release}"
  state          = module.state
  bedrock_models = local.bedrock_models
  router_yaml    = templatefile("${path.module}/router.yaml.tftpl", { region = var.region, geography = local.geography, state = module.state.url, api_keys = var.api_keys, namespace = var.name })
}

module "observability" {
  source         = "../../modules/observability"
  name           = var.name
  namespace      = var.name
  log_group      = module.serverless.log_group
  kms_key_arn    = module.state.kms_key_arn
  mail           = var.mail
  tokens_per_day = { "nova-micro" = 5000000, "nova-pro" = 2000000 }
}

module "budget" {
  source      = "../../modules/budget"
  name        = var.name
  monthly_usd = var.monthly_usd
  tiers = {
    models = { monthly_usd = floor(var.monthly_usd * 0.8), services = ["Amazon Bedrock"] }
    router = { monthly_usd = ceil(var.monthly_usd * 0.2), services = ["AWS Lambda", "Amazon DynamoDB", "Amazon API Gateway", "AmazonCloudWatch"] }
  }
  tag         = { key = "deployment", value = var.name }
  mail        = var.mail
  topic_arn   = module.observability.topic_arn
  kms_key_arn = module.state.kms_key_arn
}

output "base_url" {
  description = "Of OpenAI's clients."
  value       = "${module.serverless.url}/v1"
}

output "repositories" {
  value = module.images.urls
}
