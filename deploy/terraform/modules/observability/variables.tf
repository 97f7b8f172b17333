variable "name" {
  type        = string
  description = "Prefix of alarms, queries and dashboard."
}

variable "namespace" {
  type        = string
  description = "`telemetry.cloudwatch_namespace` of router.yaml."
}

variable "log_group" {
  type        = string
  description = "Where the gateways log."
}

variable "kms_key_arn" {
  type        = string
  description = "Key that encrypts the alarms."
}

variable "mail" {
  type        = list(string)
  default     = []
  description = "Addresses that get the alarms; each has to confirm."
}

variable "tokens_per_day" {
  type        = map(number)
  default     = {}
  description = "Limit of each model (tier): an alarm above it."
}
