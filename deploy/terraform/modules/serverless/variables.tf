variable "name" {
  type        = string
  description = "Name of the function, and prefix of what belongs to it."
}

variable "image" {
  type        = string
  description = "Image of the Dockerfile's target `lambda`, in a registry of this account."
}

variable "router_yaml" {
  type        = string
  description = "router.yaml, with API keys and `state:` of the module `state`."
  validation {
    condition     = length(var.router_yaml) <= 8192
    error_message = "router.yaml is a parameter of SSM, which holds 8 KB."
  }
  validation {
    condition     = length(try(yamldecode(var.router_yaml).security.api_keys, [])) > 0
    error_message = "router.yaml names no API key: the function's address is public. Make one with `llm-router keys new NAME`."
  }
}

variable "state" {
  type = object({
    kms_key_arn         = string
    hash_key_secret_arn = string
    statements          = any
  })
  description = "The module `state`."
}

variable "bedrock_models" {
  type        = list(string)
  default     = []
  description = "ARNs of the foundation models and inference profiles that the router may call."
}

variable "secrets" {
  type        = map(string)
  default     = {}
  description = "Secrets of Secrets Manager by the environment variable that `api_key_env` names."
}

variable "environment" {
  type    = map(string)
  default = {}
}

variable "authorization" {
  type        = string
  default     = "NONE"
  description = "NONE: API keys of router.yaml alone. AWS_IAM: requests are signed, too; for callers in AWS."
  validation {
    condition     = contains(["NONE", "AWS_IAM"], var.authorization)
    error_message = "authorization is NONE or AWS_IAM."
  }
}

variable "memory_mb" {
  type        = number
  default     = 2048
  description = "A whole processor comes with 1,769 MB."
}

variable "timeout_seconds" {
  type        = number
  default     = 300
  description = "Of one request, a stream included; at most 900."
}

variable "requests_per_second" {
  type        = number
  default     = 10
  description = "More are refused by API Gateway, with 429; twice as many in one burst."
}

variable "concurrency" {
  type        = number
  default     = 10
  description = "Requests that are answered at once: bounds what a stolen key can spend. -1: no bound but the account's."
}

variable "log_retention_days" {
  type    = number
  default = 365
}

variable "network" {
  type = object({
    vpc_id     = string
    subnet_ids = list(string)
  })
  default     = null
  description = "Only for models in a network of yours. Without it the function has none, and nothing can connect to it but by its address."
}
