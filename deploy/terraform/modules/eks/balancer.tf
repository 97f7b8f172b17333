# What the load balancer controller may do: read the network, and change what carries this cluster's tag.

resource "aws_iam_role" "balancer" {
  name               = "${var.name}-load-balancer-controller"
  assume_role_policy = local.pods
}

resource "aws_eks_pod_identity_association" "balancer" {
  cluster_name    = aws_eks_cluster.router.name
  namespace       = "kube-system"
  service_account = "aws-load-balancer-controller"
  role_arn        = aws_iam_role.balancer.arn
}

locals {
  made = { StringEquals = { "aws:RequestTag/elbv2.k8s.aws/cluster" = var.name } }
  own  = { StringEquals = { "aws:ResourceTag/elbv2.k8s.aws/cluster" = var.name } }
  elb  = "arn:${local.aws}:elasticloadbalancing:${local.region}:${local.account}"
}

resource "aws_iam_role_policy" "balancer" {
  name = "load-balancers"
  role = aws_iam_role.balancer.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "See"
        Effect = "Allow"
        Action = [
          "ec2:DescribeAccountAttributes", "ec2:DescribeAddresses", "ec2:DescribeAvailabilityZones", "ec2:DescribeCoipPools",
          "ec2:DescribeInstances", "ec2:DescribeInternetGateways", "ec2:DescribeIpamPools", "ec2:DescribeNetworkInterfaces",
          "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeTags", "ec2:DescribeVpcPeeringConnections",
          "ec2:DescribeVpcs", "ec2:GetCoipPoolUsage", "ec2:GetSecurityGroupsForVpc", "elasticloadbalancing:Describe*",
          "acm:ListCertificates", "acm:DescribeCertificate", "iam:ListServerCertificates", "iam:GetServerCertificate",
        ]
        Resource = ["*"]
      },
      {
        Sid      = "MakeGroups"
        Effect   = "Allow"
        Action   = ["ec2:CreateSecurityGroup"]
        Resource = ["${local.ec2}:${local.account}:security-group/*", "${local.ec2}:${local.account}:vpc/${var.network.vpc_id}"]
      },
      {
        Sid       = "TagGroups"
        Effect    = "Allow"
        Action    = ["ec2:CreateTags"]
        Resource  = ["${local.ec2}:${local.account}:security-group/*"]
        Condition = { StringEquals = { "ec2:CreateAction" = "CreateSecurityGroup", "aws:RequestTag/elbv2.k8s.aws/cluster" = var.name } }
      },
      {
        Sid       = "OwnGroups"
        Effect    = "Allow"
        Action    = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress", "ec2:DeleteSecurityGroup", "ec2:CreateTags", "ec2:DeleteTags"]
        Resource  = ["${local.ec2}:${local.account}:security-group/*"]
        Condition = local.own
      },
      {
        # The machines' group lets the balancers in.
        Sid      = "MachinesGroup"
        Effect   = "Allow"
        Action   = ["ec2:AuthorizeSecurityGroupIngress", "ec2:RevokeSecurityGroupIngress"]
        Resource = ["${local.ec2}:${local.account}:security-group/${aws_eks_cluster.router.vpc_config[0].cluster_security_group_id}"]
      },
      {
        Sid       = "Make"
        Effect    = "Allow"
        Action    = ["elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:CreateTargetGroup"]
        Resource  = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*"]
        Condition = local.made
      },
      {
        Sid      = "TagNew"
        Effect   = "Allow"
        Action   = ["elasticloadbalancing:AddTags"]
        Resource = ["${local.elb}:loadbalancer/*", "${local.elb}:targetgroup/*"]
        Condition = {
          StringEquals = {
            "elasticloadbalancing:CreateAction"    = ["CreateLoadBalancer", "CreateTargetGroup"]
            "aws:RequestTag/elbv2.k8s.aws/cluster" = var.name
          }
        }
      },
      {
        Sid    = "Own"
        Effect = "Allow"
        Action = [
          "elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags", "elasticloadbalancing:DeleteLoadBalancer",
          "elasticloadbalancing:DeleteTargetGroup", "elasticloadbalancing:ModifyLoadBalancerAttributes",
          "elasticloadbalancing:ModifyTargetGroup", "elasticloadbalancing:ModifyTargetGroupAttributes",
          "elasticloadbalancing:SetIpAddressType", "elasticloadbalancing:SetSecurityGroups", "elasticloadbalancing:SetSubnets",
          "elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets",
          "elasticloadbalancing:CreateListener", "elasticloadbalancing:DeleteListener", "elasticloadbalancing:ModifyListener",
          "elasticloadbalancing:ModifyListenerAttributes", "elasticloadbalancing:AddListenerCertificates",
          "elasticloadbalancing:RemoveListenerCertificates", "elasticloadbalancing:CreateRule", "elasticloadbalancing:DeleteRule",
          "elasticloadbalancing:ModifyRule", "elasticloadbalancing:SetRulePriorities",
        ]
        Resource  = ["${local.elb}:*"]
        Condition = local.own
      },
    ]
  })
}
