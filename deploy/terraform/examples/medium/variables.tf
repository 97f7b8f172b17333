variable "region" {
  type    = string
  default = "eu-central-1"
}

variable "name" {
  type        = string
  default     = "llm-router"
  description = "Name of the deployment."
}

variable "existing_state" {
  type        = string
  default     = ""
  description = "Name of another deployment, of another size, whose table this one takes over; empty: it makes its own."
}

variable "release" {
  type        = string
  default     = "0.1.0"
  description = "Tag of the images that you have pushed."
}

variable "api_keys" {
  type        = map(string)
  description = "SHA-256 of each client's key, by its name: what `llm-router keys new NAME` prints."
  validation {
    condition     = length(var.api_keys) > 0 && alltrue([for hash in values(var.api_keys) : can(regex("^[0-9a-f]{64}$", hash))])
    error_message = "At least one key, each as the SHA-256 that `llm-router keys new NAME` prints."
  }
}

variable "mail" {
  type        = list(string)
  description = "Who hears of alarms, budgets and the bill of each day."
}

variable "monthly_usd" {
  type        = number
  default     = 600
  description = "Budget of the whole deployment."
}

variable "certificate_arn" {
  type        = string
  description = "Certificate of ACM for the name that clients call."
}

variable "clients" {
  type        = list(string)
  default     = ["10.0.0.0/16"]
  description = "CIDRs that may connect to the load balancer, which has private addresses."
}

variable "batch_inference" {
  type        = bool
  default     = false
  description = "Whether batches of 100 lines and more go to Bedrock's batch inference, at half the price; costs a private endpoint."
}

variable "development" {
  type        = bool
  default     = false
  description = "One task, none at night, no protection against deletion."
}
