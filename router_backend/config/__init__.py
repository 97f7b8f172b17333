"""`router.yaml`: its schema (pydantic models, one module per concern) and its loader."""

from router_backend.config.load import ConfigError, load_config, parse_config
from router_backend.config.schema import RouterConfig

__all__ = ["ConfigError", "RouterConfig", "load_config", "parse_config"]
