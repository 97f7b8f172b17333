variable "name" {
  type        = string
  description = "Name of cluster, service and load balancer; at most 32 characters."
}

variable "images" {
  type        = object({ gateway = string, triton = string })
  description = "Images of the Dockerfile's targets `gateway` and `triton`."
}

variable "repository_arns" {
  type        = list(string)
  description = "ARNs of the images' repositories."
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
    error_message = "router.yaml names no API key: the load balancer's clients would be let in without. Make one with `llm-router keys new NAME`."
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

variable "network" {
  type = object({
    vpc_id             = string
    private_subnet_ids = list(string)
    public_subnet_ids  = list(string)
  })
  description = "The module `network`, or one of yours."
}

variable "certificate_arn" {
  type        = string
  description = "Certificate of ACM for the name that clients call."
}

variable "internal" {
  type        = bool
  default     = true
  description = "false: the load balancer has public addresses. API keys are asked for in both cases."
}

variable "clients" {
  type        = list(string)
  description = "CIDRs that may connect."
}

variable "batches" {
  type        = object({ statements = any })
  default     = null
  description = "The module `batches`, whose bucket router.yaml names; null: none."
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

variable "cpu" {
  type        = number
  default     = 2048
  description = "Processor units of a task; 1024 are one processor."
}

variable "memory_mb" {
  type    = number
  default = 4096
}

variable "tasks" {
  type        = object({ min = number, max = number })
  default     = { min = 2, max = 6 }
  description = "Two, so that one may fail."
}

variable "requests_per_minute_per_task" {
  type    = number
  default = 600
}

variable "night_stop" {
  type        = object({ stop = string, start = string, timezone = string })
  default     = null
  description = "For development: when all tasks stop and start again, such as cron(0 20 * * ? *)."
}

variable "deletion_protection" {
  type    = bool
  default = true
}

variable "log_retention_days" {
  type    = number
  default = 365
}
