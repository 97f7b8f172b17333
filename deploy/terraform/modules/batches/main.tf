# A bucket for `batches.place`: files and batches of clients, which all gateways see. The router removes files when their time is
# over (docs/batches.md); the bucket's own rule comes after it, for what a router that is gone has left.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.region
  aws     = data.aws_partition.current.partition
  prefix  = "batches"
  # Names of buckets are everybody's; the account makes this one ours.
  bucket = "${var.name}-batches-${local.account}-${local.region}"
  arn    = "arn:${local.aws}:s3:::${local.bucket}"
}

resource "aws_s3_bucket" "batches" {
  bucket        = local.bucket
  force_destroy = var.development
}

resource "aws_s3_bucket_public_access_block" "batches" {
  bucket                  = aws_s3_bucket.batches.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_ownership_controls" "batches" {
  bucket = aws_s3_bucket.batches.id
  rule {
    object_ownership = "BucketOwnerEnforced"
  }
}

resource "aws_s3_bucket_server_side_encryption_configuration" "batches" {
  bucket = aws_s3_bucket.batches.id
  rule {
    bucket_key_enabled = true # one call of KMS for many objects
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = var.kms_key_arn
    }
  }
}

# No versions: what a client deletes is gone.
resource "aws_s3_bucket_lifecycle_configuration" "batches" {
  bucket = aws_s3_bucket.batches.id
  rule {
    id     = "expire"
    status = "Enabled"
    filter {}
    expiration {
      days = var.expire_days
    }
    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "batches" {
  bucket = aws_s3_bucket.batches.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "TlsOnly"
      Effect    = "Deny"
      Principal = { AWS = "*" }
      Action    = "s3:*"
      Resource  = [local.arn, "${local.arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
  depends_on = [aws_s3_bucket_public_access_block.batches]
}

output "bedrock" {
  description = "`batch.place` and `batch.role_arn` of models on Bedrock; null without `bedrock_models`."
  value       = local.jobs == 0 ? null : { place = "s3://${aws_s3_bucket.batches.bucket}/${local.job_prefix}", role_arn = aws_iam_role.jobs[0].arn }
}

output "place" {
  description = "`batches.place` of router.yaml."
  value       = "s3://${aws_s3_bucket.batches.bucket}/${local.prefix}"
}

output "bucket" {
  value = aws_s3_bucket.batches.bucket
}

output "statements" {
  description = "IAM statements that a role needs to serve batches from this bucket."
  value = concat(local.job_statements, [
    {
      Sid      = "Batches"
      Effect   = "Allow"
      Action   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
      Resource = ["${local.arn}/${local.prefix}/*"]
    },
    {
      Sid       = "BatchesList"
      Effect    = "Allow"
      Action    = ["s3:ListBucket"]
      Resource  = [local.arn]
      Condition = { StringLike = { "s3:prefix" = ["${local.prefix}/*"] } }
    },
    {
      Sid       = "BatchesKey"
      Effect    = "Allow"
      Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource  = [var.kms_key_arn]
      Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
    },
  ])
}
