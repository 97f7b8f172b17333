variable "name" {
  type        = string
  description = "Name of the deployment, and prefix of the bucket's; lower-case letters, digits and hyphens."
}

variable "kms_key_arn" {
  type        = string
  description = "Key that encrypts what lies in the bucket: the module `state`'s."
}

variable "bedrock_models" {
  type        = list(string)
  default     = []
  description = "ARNs of the foundation models and inference profiles whose lines go to Bedrock's batch inference; empty: none do."
}

variable "expire_days" {
  type        = number
  default     = 35
  description = "After so long the bucket removes what the router should have removed: files live 30 days at most, batches one longer."
  validation {
    condition     = var.expire_days >= 32
    error_message = "expire_days is 32 or more: clients may keep a file for 30 days, and a batch reads it for one more."
  }
}

variable "development" {
  type        = bool
  default     = false
  description = "Whether `destroy` may remove a bucket with files in it."
}
