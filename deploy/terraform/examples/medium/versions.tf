terraform {
  required_version = ">= 1.9"
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 6.25" }
  }
  # What Terraform remembers holds router.yaml: keep it in an encrypted bucket.
  # backend "s3" { bucket = "…", key = "llm-router", region = "…", encrypt = true, use_lockfile = true }
}

provider "aws" {
  region = var.region
  default_tags {
    tags = local.tags
  }
}

locals {
  # By `deployment` the bill is told apart; by `size` you compare.
  tags = { deployment = var.name, size = "medium", application = "llm-router" }
}
