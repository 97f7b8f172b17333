# What Karpenter may do: start machines of this cluster from this cluster's subnets and groups, and end only those it has started.

resource "aws_sqs_queue" "interruptions" {
  name                      = "${var.name}-karpenter"
  message_retention_seconds = 300
  sqs_managed_sse_enabled   = true
}

resource "aws_sqs_queue_policy" "interruptions" {
  queue_url = aws_sqs_queue.interruptions.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = aws_sqs_queue.interruptions.arn
        Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
      },
      {
        Effect    = "Deny"
        Principal = "*"
        Action    = "sqs:*"
        Resource  = aws_sqs_queue.interruptions.arn
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

locals {
  interruptions = {
    spot      = { source = "aws.ec2", type = "EC2 Spot Instance Interruption Warning" }
    rebalance = { source = "aws.ec2", type = "EC2 Instance Rebalance Recommendation" }
    state     = { source = "aws.ec2", type = "EC2 Instance State-change Notification" }
    health    = { source = "aws.health", type = "AWS Health Event" }
  }
}

resource "aws_cloudwatch_event_rule" "interruption" {
  for_each      = local.interruptions
  name          = "${var.name}-${each.key}"
  description   = "Karpenter hears that a machine goes"
  event_pattern = jsonencode({ source = [each.value.source], "detail-type" = [each.value.type] })
}

resource "aws_cloudwatch_event_target" "interruption" {
  for_each = aws_cloudwatch_event_rule.interruption
  rule     = each.value.name
  arn      = aws_sqs_queue.interruptions.arn
}

locals {
  # A pod's role: EKS' agent gives it to the service account that an association names.
  pods = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
  ec2 = "arn:${local.aws}:ec2:${local.region}"
}

resource "aws_iam_role" "karpenter" {
  name               = "${var.name}-karpenter"
  assume_role_policy = local.pods
}

resource "aws_eks_pod_identity_association" "karpenter" {
  cluster_name    = aws_eks_cluster.router.name
  namespace       = "kube-system"
  service_account = "karpenter"
  role_arn        = aws_iam_role.karpenter.arn
}

resource "aws_iam_role_policy" "karpenter" {
  name = "karpenter"
  role = aws_iam_role.karpenter.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "StartFromWhatIsThere"
        Effect = "Allow"
        Action = ["ec2:RunInstances", "ec2:CreateFleet"]
        Resource = [
          "${local.ec2}::image/*", "${local.ec2}::snapshot/*", "${local.ec2}:${local.account}:security-group/*",
          "${local.ec2}:${local.account}:subnet/*", "${local.ec2}:${local.account}:capacity-reservation/*",
        ]
      },
      {
        Sid       = "StartFromOwnTemplates"
        Effect    = "Allow"
        Action    = ["ec2:RunInstances", "ec2:CreateFleet"]
        Resource  = ["${local.ec2}:${local.account}:launch-template/*"]
        Condition = { StringEquals = { "aws:ResourceTag/kubernetes.io/cluster/${var.name}" = "owned" } }
      },
      {
        Sid    = "StartWithTags"
        Effect = "Allow"
        Action = ["ec2:RunInstances", "ec2:CreateFleet", "ec2:CreateLaunchTemplate"]
        Resource = [
          for kind in ["fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request"] :
          "${local.ec2}:${local.account}:${kind}/*"
        ]
        Condition = {
          StringEquals = { "aws:RequestTag/kubernetes.io/cluster/${var.name}" = "owned", "aws:RequestTag/eks:eks-cluster-name" = var.name }
          StringLike   = { "aws:RequestTag/karpenter.sh/nodepool" = "*" }
        }
      },
      {
        Sid    = "TagWhatStarts"
        Effect = "Allow"
        Action = ["ec2:CreateTags"]
        Resource = [
          for kind in ["fleet", "instance", "volume", "network-interface", "launch-template", "spot-instances-request"] :
          "${local.ec2}:${local.account}:${kind}/*"
        ]
        Condition = {
          StringEquals = {
            "aws:RequestTag/kubernetes.io/cluster/${var.name}" = "owned"
            "ec2:CreateAction"                                 = ["RunInstances", "CreateFleet", "CreateLaunchTemplate"]
          }
        }
      },
      {
        Sid      = "TagOwn"
        Effect   = "Allow"
        Action   = ["ec2:CreateTags"]
        Resource = ["${local.ec2}:${local.account}:instance/*"]
        Condition = {
          StringEquals                = { "aws:ResourceTag/kubernetes.io/cluster/${var.name}" = "owned" }
          StringLike                  = { "aws:ResourceTag/karpenter.sh/nodepool" = "*" }
          "ForAllValues:StringEquals" = { "aws:TagKeys" = ["eks:eks-cluster-name", "karpenter.sh/nodeclaim", "Name"] }
        }
      },
      {
        Sid      = "EndOwn"
        Effect   = "Allow"
        Action   = ["ec2:TerminateInstances", "ec2:DeleteLaunchTemplate"]
        Resource = ["${local.ec2}:${local.account}:instance/*", "${local.ec2}:${local.account}:launch-template/*"]
        Condition = {
          StringEquals = { "aws:ResourceTag/kubernetes.io/cluster/${var.name}" = "owned" }
          StringLike   = { "aws:ResourceTag/karpenter.sh/nodepool" = "*" }
        }
      },
      {
        # Lists have no resource.
        Sid    = "See"
        Effect = "Allow"
        Action = [
          "ec2:DescribeAvailabilityZones", "ec2:DescribeCapacityReservations", "ec2:DescribeImages", "ec2:DescribeInstances",
          "ec2:DescribeInstanceStatus", "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeInstanceTypes", "ec2:DescribeLaunchTemplates",
          "ec2:DescribePlacementGroups", "ec2:DescribeSecurityGroups", "ec2:DescribeSpotPriceHistory", "ec2:DescribeSubnets", "pricing:GetProducts",
          "iam:ListInstanceProfiles",
        ]
        Resource = ["*"]
      },
      {
        Sid      = "Images"
        Effect   = "Allow"
        Action   = ["ssm:GetParameter"]
        Resource = ["arn:${local.aws}:ssm:${local.region}::parameter/aws/service/*"]
      },
      {
        Sid      = "Interruptions"
        Effect   = "Allow"
        Action   = ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"]
        Resource = [aws_sqs_queue.interruptions.arn]
      },
      {
        Sid       = "GiveTheNodesRole"
        Effect    = "Allow"
        Action    = ["iam:PassRole"]
        Resource  = [aws_iam_role.karpenter_node.arn]
        Condition = { StringEquals = { "iam:PassedToService" = "ec2.amazonaws.com" } }
      },
      {
        Sid    = "OwnInstanceProfiles"
        Effect = "Allow"
        Action = ["iam:CreateInstanceProfile", "iam:TagInstanceProfile"]
        Resource = [
          "arn:${local.aws}:iam::${local.account}:instance-profile/*",
        ]
        Condition = { StringEquals = { "aws:RequestTag/kubernetes.io/cluster/${var.name}" = "owned" } }
      },
      {
        Sid      = "ChangeOwnInstanceProfiles"
        Effect   = "Allow"
        Action   = ["iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"]
        Resource = ["arn:${local.aws}:iam::${local.account}:instance-profile/*"]
        Condition = {
          StringEquals = { "aws:ResourceTag/kubernetes.io/cluster/${var.name}" = "owned" }
        }
      },
      {
        Sid      = "SeeInstanceProfiles"
        Effect   = "Allow"
        Action   = ["iam:GetInstanceProfile"]
        Resource = ["arn:${local.aws}:iam::${local.account}:instance-profile/*"]
      },
      {
        Sid      = "Cluster"
        Effect   = "Allow"
        Action   = ["eks:DescribeCluster"]
        Resource = [local.cluster]
      },
    ]
  })
}
