# Large, from about 100,000 requests a day, or where models must be your own: EKS, NIMs on GPU machines (Spot first), DynamoDB.

module "state" {
  source   = "../../modules/state"
  name     = var.name
  existing = var.existing_state
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
}

module "network" {
  source       = "../../modules/network"
  name         = var.name
  zones        = 3
  nat_gateways = 3 # images and weights come from nvcr.io
  endpoints    = ["ecr.api", "ecr.dkr", "logs", "sts", "ec2"]
  kms_key_arn  = module.state.kms_key_arn
  subnet_tags  = { "karpenter.sh/discovery" = var.name }
}

module "eks" {
  source      = "../../modules/eks"
  name        = var.name
  state       = module.state
  network     = module.network
  batches     = module.batches
  api_clients = var.api_clients
  chart       = "${path.module}/../../../../helm/llm-router"
  values = [
    file("${path.module}/values.yaml"),
    yamlencode({
      gateway = { image = { repository = module.images.urls["gateway"], tag = var.release } }
      triton  = { image = { repository = module.images.urls["triton"], tag = var.release } }
      router = {
        security  = { api_keys = [for name, hash in var.api_keys : { name = name, sha256 = hash }] }
        telemetry = { cloudwatch_namespace = var.name }
        batches   = { place = module.batches.place }
      }
      ingress = {
        host = var.host
        annotations = {
          "alb.ingress.kubernetes.io/scheme"                   = "internal"
          "alb.ingress.kubernetes.io/target-type"              = "ip"
          "alb.ingress.kubernetes.io/certificate-arn"          = var.certificate_arn
          "alb.ingress.kubernetes.io/listen-ports"             = "[{\"HTTPS\": 443}]"
          "alb.ingress.kubernetes.io/ssl-policy"               = "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
          "alb.ingress.kubernetes.io/healthcheck-path"         = "/health/ready"
          "alb.ingress.kubernetes.io/load-balancer-attributes" = "idle_timeout.timeout_seconds=610"
        }
      }
      # The load balancer sends from its own addresses, which are in the private subnets.
      networkPolicy = { gatewayFrom = [{ ipBlock = { cidr = module.network.cidr } }] }
    }),
  ]
  tags = local.tags
}

module "observability" {
  source         = "../../modules/observability"
  name           = var.name
  namespace      = var.name
  log_group      = module.eks.log_group
  kms_key_arn    = module.state.kms_key_arn
  mail           = var.mail
  tokens_per_day = { "nemotron-49b" = 500000000, "llama3-70b" = 200000000, "llama3-8b" = 1000000000 }
}

module "budget" {
  source      = "../../modules/budget"
  name        = var.name
  monthly_usd = var.monthly_usd
  tiers = {
    machines = { monthly_usd = floor(var.monthly_usd * 0.9), services = ["Amazon Elastic Compute Cloud - Compute"] }
    router   = { monthly_usd = ceil(var.monthly_usd * 0.1), services = ["Amazon Elastic Container Service for Kubernetes", "Amazon Elastic Load Balancing", "Amazon Virtual Private Cloud", "Amazon DynamoDB", "AmazonCloudWatch", "EC2 - Other"] }
  }
  tag         = { key = "deployment", value = var.name }
  mail        = var.mail
  topic_arn   = module.observability.topic_arn
  kms_key_arn = module.state.kms_key_arn
}

output "cluster_name" {
  value = module.eks.cluster_name
}

output "repositories" {
  value = module.images.urls
}

output "bucket" {
  description = "Where files and batches lie."
  value       = module.batches.bucket
}
