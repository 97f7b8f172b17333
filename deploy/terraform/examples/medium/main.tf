# Medium, from about 1,000 to 100,000 requests a day: gateway and Triton on Fargate in two zones, models on Bedrock, DynamoDB.

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
  source              = "../../modules/state"
  name                = var.name
  existing            = var.existing_state
  deletion_protection = !var.development
}

module "images" {
  source      = "../../modules/images"
  name        = var.name
  images      = ["gateway", "triton"]
  kms_key_arn = module.state.kms_key_arn
}

module "batches" {
  source      = "../../modules/batches"
  name        = var.name
  kms_key_arn = module.state.kms_key_arn
  development = var.development
  # At half the price, for batches of 100 lines and more; its private endpoint is paid by the hour.
  bedrock_models = var.batch_inference ? local.bedrock_models : []
}

# No way to the internet: everything that the tasks need is AWS' own.
module "network" {
  source       = "../../modules/network"
  name         = var.name
  nat_gateways = 0
  endpoints    = concat(["bedrock-runtime", "ecr.api", "ecr.dkr", "logs", "secretsmanager", "ssm"], var.batch_inference ? ["bedrock"] : [])
  kms_key_arn  = module.state.kms_key_arn
}

module "fargate" {
  source              = "../../modules/fargate"
  name                = var.name
  images              = { for name in ["gateway", "triton"] : name => "${module.images.urls[name]}:${var.release}" }
  repository_arns     = values(module.images.arns)
  state               = module.state
  network             = module.network
  batches             = module.batches
  certificate_arn     = var.certificate_arn
  clients             = var.clients
  bedrock_models      = local.bedrock_models
  router_yaml         = templatefile("${path.module}/router.yaml.tftpl", { region = var.region, geography = local.geography, state = module.state.url, place = module.batches.place, jobs = module.batches.bedrock, api_keys = var.api_keys, namespace = var.name })
  tasks               = var.development ? { min = 1, max = 1 } : { min = 2, max = 6 }
  night_stop          = var.development ? { stop = "cron(0 20 * * ? *)", start = "cron(0 7 ? * MON-FRI *)", timezone = "Europe/Berlin" } : null
  deletion_protection = !var.development
}

module "observability" {
  source         = "../../modules/observability"
  name           = var.name
  namespace      = var.name
  log_group      = module.fargate.log_group
  kms_key_arn    = module.state.kms_key_arn
  mail           = var.mail
  tokens_per_day = { "nova-micro" = 50000000, "nova-pro" = 20000000 }
}

module "budget" {
  source      = "../../modules/budget"
  name        = var.name
  monthly_usd = var.monthly_usd
  tiers = {
    models = { monthly_usd = floor(var.monthly_usd * 0.5), services = ["Amazon Bedrock"] }
    router = { monthly_usd = ceil(var.monthly_usd * 0.5), services = ["Amazon Elastic Container Service", "Amazon Elastic Load Balancing", "Amazon Virtual Private Cloud", "Amazon DynamoDB", "AmazonCloudWatch"] }
  }
  tag         = { key = "deployment", value = var.name }
  mail        = var.mail
  topic_arn   = module.observability.topic_arn
  kms_key_arn = module.state.kms_key_arn
}

output "balancer" {
  description = "Where the name of the certificate points."
  value       = module.fargate.dns_name
}

output "repositories" {
  value = module.images.urls
}

output "bucket" {
  description = "Where files and batches lie."
  value       = module.batches.bucket
}
