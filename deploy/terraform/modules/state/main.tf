# What the router has learned, and the key that encrypts it: the one part that all three sizes have alike. A bigger size takes
# the table of a smaller one over: nothing has to be copied.

variable "name" {
  type        = string
  description = "Name of the table, and of the key's alias."
}

variable "existing" {
  type        = string
  default     = ""
  description = "Name of another deployment whose table and key are used; empty: both are made."
}

variable "log_groups" {
  type        = string
  default     = "*"
  description = "Names of the log groups that may use the key; a pattern."
}

variable "deletion_protection" {
  type        = bool
  default     = true
  description = "Whether the table refuses to be deleted."
}

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.region
  aws     = data.aws_partition.current.partition
  make    = var.existing == "" ? 1 : 0
  table   = var.existing == "" ? aws_dynamodb_table.state[0] : data.aws_dynamodb_table.existing[0]
  key_arn = var.existing == "" ? aws_kms_key.router[0].arn : data.aws_kms_alias.existing[0].target_key_arn
}

data "aws_dynamodb_table" "existing" {
  count = 1 - local.make
  name  = var.existing
}

data "aws_kms_alias" "existing" {
  count = 1 - local.make
  name  = "alias/${var.existing}"
}

resource "aws_kms_key" "router" {
  count                   = local.make
  description             = "${var.name}: table, logs, images, secrets and alarms of the LLM router"
  enable_key_rotation     = true
  deletion_window_in_days = 30
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # Without it nobody could ever change the key; who may use it is said by the roles' own policies.
        Sid       = "AccountByIam"
        Effect    = "Allow"
        Principal = { AWS = "arn:${local.aws}:iam::${local.account}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${local.region}.amazonaws.com" }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:DescribeKey"]
        Resource  = "*"
        Condition = {
          ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:${local.aws}:logs:${local.region}:${local.account}:log-group:${var.log_groups}" }
        }
      },
      {
        # Alarms, budgets and cost anomalies are published to an encrypted topic.
        Sid       = "Notifications"
        Effect    = "Allow"
        Principal = { Service = ["cloudwatch.amazonaws.com", "budgets.amazonaws.com", "costalerts.amazonaws.com", "events.amazonaws.com"] }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
    ]
  })
}

resource "aws_kms_alias" "router" {
  count         = local.make
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.router[0].key_id
}

resource "aws_dynamodb_table" "state" {
  count                       = local.make
  name                        = var.name
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "pk"
  range_key                   = "sk"
  deletion_protection_enabled = var.deletion_protection
  attribute {
    name = "pk"
    type = "S"
  }
  attribute {
    name = "sk"
    type = "S"
  }
  ttl {
    attribute_name = "expires"
    enabled        = true
  }
  point_in_time_recovery {
    enabled = true
  }
  server_side_encryption {
    enabled     = true
    kms_key_arn = aws_kms_key.router[0].arn
  }
}

# By it sessions and prompts are hashed, alike on all replicas; it never changes.
data "aws_secretsmanager_random_password" "hash" {
  count               = local.make
  password_length     = 48
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret" "hash" {
  count       = local.make
  name        = "${var.name}/hash-key"
  description = "Key of the hashes of sessions and prompts"
  kms_key_id  = aws_kms_key.router[0].arn
}

resource "aws_secretsmanager_secret_version" "hash" {
  count         = local.make
  secret_id     = aws_secretsmanager_secret.hash[0].id
  secret_string = data.aws_secretsmanager_random_password.hash[0].random_password
  lifecycle {
    ignore_changes = [secret_string]
  }
}

data "aws_secretsmanager_secret" "existing" {
  count = 1 - local.make
  name  = "${var.existing}/hash-key"
}

locals {
  # What serving needs (docs/state.md). Scan is the command line's, and the table is made here.
  statements = [
    {
      Sid    = "State"
      Effect = "Allow"
      Action = [
        "dynamodb:DescribeTable", "dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:PutItem",
        "dynamodb:UpdateItem", "dynamodb:DeleteItem", "dynamodb:BatchWriteItem", "dynamodb:ConditionCheckItem",
      ]
      Resource = [local.table.arn]
    },
    {
      Sid      = "StateKey"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey", "kms:DescribeKey"]
      Resource = [local.key_arn]
      Condition = {
        StringEquals = { "kms:ViaService" = ["dynamodb.${local.region}.amazonaws.com", "ssm.${local.region}.amazonaws.com", "secretsmanager.${local.region}.amazonaws.com"] }
      }
    },
  ]
}

output "url" {
  description = "`state:` of router.yaml."
  value       = "dynamodb://${local.table.name}?region=${local.region}"
}

output "table_name" {
  value = local.table.name
}

output "table_arn" {
  value = local.table.arn
}

output "kms_key_arn" {
  value = local.key_arn
}

output "hash_key_secret_arn" {
  description = "Secret for the environment variable LLM_ROUTER_HASH_KEY."
  value       = var.existing == "" ? aws_secretsmanager_secret.hash[0].arn : data.aws_secretsmanager_secret.existing[0].arn
}

output "statements" {
  description = "IAM statements that a role needs to serve from this table."
  value       = local.statements
}
