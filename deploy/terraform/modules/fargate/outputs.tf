output "dns_name" {
  description = "Where the name of the certificate points: an alias record to it."
  value       = aws_lb.router.dns_name
}

output "zone_id" {
  value = aws_lb.router.zone_id
}

output "log_group" {
  value = aws_cloudwatch_log_group.router.name
}
