# Repositories for the project's images: Lambda takes images out of the account's own registry alone.

variable "name" {
  type        = string
  description = "Prefix of the repositories' names."
}

variable "images" {
  type        = set(string)
  description = "Targets of the Dockerfile: lambda, gateway, triton, train."
}

variable "kms_key_arn" {
  type        = string
  description = "Key that encrypts the images."
}

resource "aws_ecr_repository" "image" {
  for_each             = var.images
  name                 = "${var.name}/${each.key}"
  image_tag_mutability = "IMMUTABLE"
  image_scanning_configuration {
    scan_on_push = true
  }
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = var.kms_key_arn
  }
}

resource "aws_ecr_lifecycle_policy" "image" {
  for_each   = aws_ecr_repository.image
  repository = each.value.name
  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "The last ten images stay"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 10 }
      action       = { type = "expire" }
    }]
  })
}

output "urls" {
  description = "Repository URLs by target, without a tag."
  value       = { for name, repository in aws_ecr_repository.image : name => repository.repository_url }
}

output "arns" {
  description = "ARNs of the repositories by target."
  value       = { for name, repository in aws_ecr_repository.image : name => repository.arn }
}
