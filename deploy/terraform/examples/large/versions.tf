terraform {
  required_version = ">= 1.9"
  required_providers {
    aws  = { source = "hashicorp/aws", version = "~> 6.25" }
    helm = { source = "hashicorp/helm", version = "~> 3.1" }
  }
  # What Terraform remembers holds the cluster's address and values: keep it in an encrypted bucket.
  # backend "s3" { bucket = "…", key = "llm-router", region = "…", encrypt = true, use_lockfile = true }
}

provider "aws" {
  region = var.region
  default_tags {
    tags = local.tags
  }
}

# With AWS' own command line, so that no token of the cluster is kept.
provider "helm" {
  kubernetes = {
    host                   = module.eks.endpoint
    cluster_ca_certificate = base64decode(module.eks.certificate_authority)
    exec = {
      api_version = "client.authentication.k8s.io/v1"
      command     = "aws"
      args        = ["eks", "get-token", "--cluster-name", var.name, "--region", var.region]
    }
  }
}

locals {
  # By `deployment` the bill is told apart; by `size` you compare.
  tags = { deployment = var.name, size = "large", application = "llm-router" }
}
