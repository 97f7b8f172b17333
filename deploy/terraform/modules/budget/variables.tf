variable "name" {
  type = string
}

variable "monthly_usd" {
  type        = number
  description = "Of everything with the tag."
}

variable "tiers" {
  type        = map(object({ monthly_usd = number, services = list(string) }))
  default     = {}
  description = "Parts of the bill with a limit of their own, by AWS' names of services, such as \"Amazon Bedrock\"."
}

variable "tag" {
  type        = object({ key = string, value = string })
  description = "The tag that everything of this deployment has."
}

variable "activate_tag" {
  type        = bool
  default     = false
  description = "Makes the tag a cost allocation tag; once for an account, from the account that pays, a day after the tag was first used."
}

variable "anomaly_usd" {
  type        = number
  default     = 20
  description = "What an anomaly must cost before it is told."
}

variable "mail" {
  type        = list(string)
  description = "Addresses that hear of budgets."
}

variable "topic_arn" {
  type        = string
  description = "Topic of the module `observability`."
}

variable "kms_key_arn" {
  type = string
}

variable "report" {
  type        = object({ schedule = string, timezone = string })
  default     = { schedule = "cron(0 8 * * ? *)", timezone = "UTC" }
  description = "When the bill of the day before is sent."
}
