# Bedrock's batch inference: its jobs read requests from the bucket and write answers there, by a role of their own.

locals {
  jobs       = length(var.bedrock_models) > 0 ? 1 : 0
  job_prefix = "bedrock"
  job_arns   = "arn:${local.aws}:bedrock:${local.region}:${local.account}:model-invocation-job/*"
  job_files = {
    Sid      = "JobFiles"
    Effect   = "Allow"
    Action   = ["s3:GetObject", "s3:PutObject"]
    Resource = ["${local.arn}/${local.job_prefix}/*"]
  }
  job_list = {
    Sid       = "JobFilesList"
    Effect    = "Allow"
    Action    = ["s3:ListBucket"]
    Resource  = [local.arn]
    Condition = { StringLike = { "s3:prefix" = ["${local.job_prefix}/*"] } }
  }
  # What the router does with jobs.
  job_statements = [for statement in [
    merge(local.job_files, { Action = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"] }),
    local.job_list,
    {
      Sid      = "Jobs"
      Effect   = "Allow"
      Action   = ["bedrock:CreateModelInvocationJob"]
      Resource = concat(var.bedrock_models, [local.job_arns])
    },
    {
      Sid      = "JobsFollow"
      Effect   = "Allow"
      Action   = ["bedrock:GetModelInvocationJob", "bedrock:StopModelInvocationJob"]
      Resource = [local.job_arns]
    },
    {
      # AWS knows no resource for it.
      Sid      = "JobsList"
      Effect   = "Allow"
      Action   = ["bedrock:ListModelInvocationJobs"]
      Resource = ["*"]
    },
    {
      Sid       = "JobsRole"
      Effect    = "Allow"
      Action    = ["iam:PassRole"]
      Resource  = [for role in aws_iam_role.jobs : role.arn]
      Condition = { StringEquals = { "iam:PassedToService" = "bedrock.amazonaws.com" } }
    },
  ] : statement if local.jobs > 0]
}

resource "aws_iam_role" "jobs" {
  count = local.jobs
  name  = "${var.name}-bedrock-batch"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "bedrock.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = local.job_arns }
      }
    }]
  })
}

resource "aws_iam_role_policy" "jobs" {
  count = local.jobs
  name  = "files"
  role  = aws_iam_role.jobs[0].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      local.job_files,
      local.job_list,
      {
        Sid       = "JobFilesKey"
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = [var.kms_key_arn]
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
      {
        # Asked for where the model is an inference profile.
        Sid      = "Models"
        Effect   = "Allow"
        Action   = ["bedrock:InvokeModel"]
        Resource = var.bedrock_models
      },
    ]
  })
}
