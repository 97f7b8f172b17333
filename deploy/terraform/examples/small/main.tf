# Small, to about 1,000 requests a day: Lambda, models on Bedrock, DynamoDB. Nothing runs, and little is paid, while nobody asks.

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
  source      = "../../modules/serverless"
  name        = var.name
  image       = "${module.images.urls["lambda"]}:${var.release}"
  state       = module.state
  secrets     = { BEDROCK_API_KEY = var.bedrock_key_secret_arn }
  router_yaml = templatefile("${path.module}/router.yaml.tftpl", { region = var.region, state = module.state.url, api_keys = var.api_keys, namespace = var.name })
}

module "observability" {
  source         = "../../modules/observability"
  name           = var.name
  namespace      = var.name
  log_group      = module.serverless.log_group
  kms_key_arn    = module.state.kms_key_arn
  mail           = var.mail
  tokens_per_day = { "gpt-oss-20b" = 5000000, "gpt-oss-120b" = 2000000 }
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
