# What the router's pods may do.

locals {
  router_account = "llm-router"
}

resource "aws_iam_role" "router" {
  name               = "${var.name}-router"
  assume_role_policy = local.pods
}

resource "aws_eks_pod_identity_association" "router" {
  cluster_name    = aws_eks_cluster.router.name
  namespace       = var.namespace
  service_account = local.router_account
  role_arn        = aws_iam_role.router.arn
}

resource "aws_iam_role_policy" "router" {
  name = "router"
  role = aws_iam_role.router.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      var.state.statements,
      try(var.batches.statements, []),
      length(var.bedrock_models) > 0 ? [{
        Sid      = "Models"
        Effect   = "Allow"
        Action   = ["bedrock:InvokeModel", "bedrock:InvokeModelWithResponseStream"]
        Resource = var.bedrock_models
      }] : [],
    )
  })
}
