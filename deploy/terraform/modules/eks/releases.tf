# Everything in the cluster, in the order in which one needs the other.

resource "helm_release" "karpenter" {
  name       = "karpenter"
  namespace  = "kube-system"
  repository = "oci://public.ecr.aws/karpenter"
  chart      = "karpenter"
  version    = var.charts.karpenter
  values = [yamlencode({
    settings       = { clusterName = var.name, interruptionQueue = aws_sqs_queue.interruptions.name }
    serviceAccount = { name = "karpenter" }
    # Not on machines of its own making.
    nodeSelector = { "eks.amazonaws.com/nodegroup" = aws_eks_node_group.system.node_group_name }
  })]
  depends_on = [aws_eks_addon.after, aws_eks_pod_identity_association.karpenter, aws_iam_role_policy.karpenter]
}

# The machines' class and the class of volumes, as a chart of ours: Terraform's own manifests need the cluster while it plans.
resource "helm_release" "platform" {
  name      = "platform"
  namespace = "kube-system"
  chart     = "${path.module}/platform"
  values = [yamlencode({
    nodeClass = var.node_class
    role      = aws_iam_role.karpenter_node.name
    cluster   = var.name
    tags      = var.tags
  })]
  depends_on = [helm_release.karpenter]
}

resource "helm_release" "balancer" {
  name       = "aws-load-balancer-controller"
  namespace  = "kube-system"
  repository = "https://aws.github.io/eks-charts"
  chart      = "aws-load-balancer-controller"
  version    = var.charts.balancer
  values = [yamlencode({
    clusterName    = var.name
    region         = local.region
    vpcId          = var.network.vpc_id
    serviceAccount = { create = true, name = "aws-load-balancer-controller" }
    defaultTags    = var.tags
  })]
  depends_on = [aws_eks_addon.after, aws_eks_pod_identity_association.balancer, aws_iam_role_policy.balancer]
}

# The machines' image has NVIDIA's driver and container toolkit.
resource "helm_release" "gpu_operator" {
  name             = "gpu-operator"
  namespace        = "gpu-operator"
  create_namespace = true
  repository       = "https://helm.ngc.nvidia.com/nvidia"
  chart            = "gpu-operator"
  version          = var.charts.gpu_operator
  values = [yamlencode({
    driver  = { enabled = false }
    toolkit = { enabled = false }
    daemonsets = {
      tolerations = [{ key = "nvidia.com/gpu", operator = "Exists", effect = "NoSchedule" }]
    }
  })]
  depends_on = [aws_eks_addon.after]
}

resource "helm_release" "keda" {
  name             = "keda"
  namespace        = "keda"
  create_namespace = true
  repository       = "https://kedacore.github.io/charts"
  chart            = "keda"
  version          = var.charts.keda
  depends_on       = [aws_eks_addon.after]
}

resource "helm_release" "monitoring" {
  name             = "kube-prometheus-stack"
  namespace        = "monitoring"
  create_namespace = true
  repository       = "https://prometheus-community.github.io/helm-charts"
  chart            = "kube-prometheus-stack"
  version          = var.charts.monitoring
  values = [yamlencode({
    prometheus = { prometheusSpec = { retention = "15d", storageSpec = { volumeClaimTemplate = { spec = {
      storageClassName = "gp3", resources = { requests = { storage = "50Gi" } }
    } } } } }
  })]
  depends_on = [aws_eks_addon.after, helm_release.platform]
}

resource "helm_release" "router" {
  name             = "router"
  namespace        = var.namespace
  create_namespace = true
  chart            = var.chart
  # Models take long to load.
  timeout = 3600
  values = concat(
    [yamlencode({
      state          = { backend = "dynamodb", dynamodb = { url = var.state.url } }
      karpenter      = { enabled = true, nodeClass = "gpu", capacityTypes = ["spot", "on-demand"] }
      serviceAccount = { create = true, name = local.router_account }
      networkPolicy  = { egress = { cloudIdentity = "eks" } }
    })],
    var.values,
  )
  depends_on = [
    helm_release.platform, helm_release.balancer, helm_release.gpu_operator, helm_release.keda, helm_release.monitoring,
    aws_eks_pod_identity_association.router,
  ]
}
