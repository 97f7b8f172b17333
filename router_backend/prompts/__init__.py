"""What is read of a chat request before it is classified: the text to classify, and a few features of the whole request."""

from router_backend.prompts.features import PromptFeatures, describe
from router_backend.prompts.loop import Step, step_of
from router_backend.prompts.messages import BadRequest, routing_text, text_of

__all__ = ["BadRequest", "PromptFeatures", "Step", "describe", "routing_text", "step_of", "text_of"]
