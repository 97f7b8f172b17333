# Large: a cluster whose machines are private, Karpenter for GPU machines (Spot first), and the project's chart.

data "aws_caller_identity" "current" {}
data "aws_region" "current" {}
data "aws_partition" "current" {}

locals {
  account = data.aws_caller_identity.current.account_id
  region  = data.aws_region.current.region
  aws     = data.aws_partition.current.partition
  cluster = "arn:${local.aws}:eks:${local.region}:${local.account}:cluster/${var.name}"
  managed = "arn:${local.aws}:iam::aws:policy"
}

resource "aws_cloudwatch_log_group" "cluster" {
  name              = "/aws/eks/${var.name}/cluster"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.state.kms_key_arn
}

resource "aws_iam_role" "cluster" {
  name = "${var.name}-cluster"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
    }]
  })
}

resource "aws_iam_role_policy_attachment" "cluster" {
  role       = aws_iam_role.cluster.name
  policy_arn = "${local.managed}/AmazonEKSClusterPolicy"
}

resource "aws_iam_role_policy" "cluster" {
  name = "secrets-key"
  role = aws_iam_role.cluster.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:CreateGrant"]
      Resource = [var.state.kms_key_arn]
    }]
  })
}

resource "aws_eks_cluster" "router" {
  name                          = var.name
  version                       = var.kubernetes_version
  role_arn                      = aws_iam_role.cluster.arn
  bootstrap_self_managed_addons = false
  deletion_protection           = var.deletion_protection
  enabled_cluster_log_types     = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  access_config {
    authentication_mode                         = "API"
    bootstrap_cluster_creator_admin_permissions = true
  }
  vpc_config {
    subnet_ids              = var.network.private_subnet_ids
    endpoint_private_access = true
    endpoint_public_access  = length(var.api_clients) > 0
    public_access_cidrs     = length(var.api_clients) > 0 ? var.api_clients : null
  }
  encryption_config {
    resources = ["secrets"]
    provider {
      key_arn = var.state.kms_key_arn
    }
  }
  upgrade_policy {
    support_type = "STANDARD"
  }
  depends_on = [aws_iam_role_policy_attachment.cluster, aws_iam_role_policy.cluster, aws_cloudwatch_log_group.cluster]
}

# Karpenter finds the machines' security group by this tag.
resource "aws_ec2_tag" "discovery" {
  resource_id = aws_eks_cluster.router.vpc_config[0].cluster_security_group_id
  key         = "karpenter.sh/discovery"
  value       = var.name
}

locals {
  # Without configuration; `role` is given to the add-on's own service account.
  addons = {
    "eks-pod-identity-agent" = { before = true, values = null, role = null, account = null }
    "vpc-cni" = {
      before = true, role = aws_iam_role.addon["vpc-cni"].arn, account = "aws-node",
      # The chart's network policies are enforced by it.
      values = jsonencode({ enableNetworkPolicy = "true" })
    }
    "kube-proxy"     = { before = true, values = null, role = null, account = null }
    "coredns"        = { before = false, values = null, role = null, account = null }
    "metrics-server" = { before = false, values = null, role = null, account = null }
    "aws-ebs-csi-driver" = {
      before = false, values = null, role = aws_iam_role.addon["aws-ebs-csi-driver"].arn, account = "ebs-csi-controller-sa"
    }
    "amazon-cloudwatch-observability" = {
      before = false, values = null, role = aws_iam_role.addon["amazon-cloudwatch-observability"].arn, account = "cloudwatch-agent"
    }
  }
  addon_policies = {
    "vpc-cni"                         = "${local.managed}/AmazonEKS_CNI_Policy"
    "aws-ebs-csi-driver"              = "${local.managed}/service-role/AmazonEBSCSIDriverPolicyV2"
    "amazon-cloudwatch-observability" = "${local.managed}/CloudWatchAgentServerPolicy"
  }
}

resource "aws_eks_addon" "before" {
  for_each                    = { for name, addon in local.addons : name => addon if addon.before }
  cluster_name                = aws_eks_cluster.router.name
  addon_name                  = each.key
  configuration_values        = each.value.values
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  dynamic "pod_identity_association" {
    for_each = each.value.role == null ? [] : [each.value]
    content {
      role_arn        = pod_identity_association.value.role
      service_account = pod_identity_association.value.account
    }
  }
}

resource "aws_eks_addon" "after" {
  for_each                    = { for name, addon in local.addons : name => addon if !addon.before }
  cluster_name                = aws_eks_cluster.router.name
  addon_name                  = each.key
  configuration_values        = each.value.values
  resolve_conflicts_on_create = "OVERWRITE"
  resolve_conflicts_on_update = "OVERWRITE"
  dynamic "pod_identity_association" {
    for_each = each.value.role == null ? [] : [each.value]
    content {
      role_arn        = pod_identity_association.value.role
      service_account = pod_identity_association.value.account
    }
  }
  depends_on = [aws_eks_node_group.system] # their pods need a machine
}

resource "aws_iam_role" "addon" {
  for_each           = local.addon_policies
  name               = "${var.name}-${each.key}"
  assume_role_policy = local.pods
}

resource "aws_iam_role_policy_attachment" "addon" {
  for_each   = local.addon_policies
  role       = aws_iam_role.addon[each.key].name
  policy_arn = each.value
}
