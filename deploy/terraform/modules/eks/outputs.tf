output "cluster_name" {
  value = aws_eks_cluster.router.name
}

output "endpoint" {
  value = aws_eks_cluster.router.endpoint
}

output "certificate_authority" {
  value = aws_eks_cluster.router.certificate_authority[0].data
}

output "log_group" {
  description = "Of the containers; the CloudWatch add-on makes it."
  value       = "/aws/containerinsights/${var.name}/application"
}
