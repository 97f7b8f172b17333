variable "name" {
  type        = string
  description = "Name of the cluster."
}

variable "state" {
  type = object({
    url         = string
    kms_key_arn = string
    statements  = any
  })
  description = "The module `state`."
}

variable "network" {
  type = object({
    vpc_id             = string
    private_subnet_ids = list(string)
  })
  description = "The module `network`, with the tag karpenter.sh/discovery on its private subnets."
}

variable "kubernetes_version" {
  type    = string
  default = "1.35"
}

variable "api_clients" {
  type        = list(string)
  default     = []
  description = "CIDRs that reach Kubernetes' API over the internet. Empty: from inside the network alone, Terraform included."
}

variable "system_nodes" {
  type        = object({ types = list(string), min = number, max = number })
  default     = { types = ["m7i.xlarge"], min = 3, max = 6 }
  description = "Machines without a GPU."
}

variable "namespace" {
  type    = string
  default = "llm"
}

variable "chart" {
  type        = string
  description = "The project's chart: its folder, or oci://…"
}

variable "values" {
  type        = list(string)
  description = "Values of the chart, as YAML; later ones win."
}

variable "node_class" {
  type        = object({ volume_gib = number, ami = string })
  default     = { volume_gib = 300, ami = "al2023@latest" }
  description = "Of GPU machines: their disk, on which images stand, and Karpenter's alias of their image. Pin it for production: al2023@v20261120."
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

variable "charts" {
  type = object({ karpenter = string, balancer = string, gpu_operator = string, keda = string, monitoring = string })
  default = {
    karpenter    = "1.14.1"
    balancer     = "3.6.0"
    gpu_operator = "v26.7.0"
    keda         = "2.21.1"
    monitoring   = "87.17.0"
  }
  description = "Versions of other people's charts: those of deploy/versions.yaml."
}

variable "tags" {
  type        = map(string)
  default     = {}
  description = "Of what Karpenter and the load balancer controller make; Terraform doesn't."
}

variable "deletion_protection" {
  type    = bool
  default = true
}

variable "log_retention_days" {
  type    = number
  default = 365
}
