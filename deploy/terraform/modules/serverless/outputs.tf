output "url" {
  description = "Base URL; clients add /v1."
  value       = aws_api_gateway_stage.live.invoke_url
}

output "function_name" {
  value = aws_lambda_function.router.function_name
}

output "log_group" {
  value = aws_cloudwatch_log_group.router.name
}
