"""What the classifier reads of a chat request: its text, its tokens, and a few features beside them."""

from router_backend.classifier.encoding import Encoded, PromptEncoder
from router_backend.prompts.features import PromptFeatures, describe
from router_backend.prompts.messages import BadRequest, routing_text, text_of

__all__ = ["BadRequest", "Encoded", "PromptEncoder", "PromptFeatures", "describe", "routing_text", "text_of"]
