"""Training data: labelled prompts, routing records, and how rows are split and balanced."""

from classifier_training.data.examples import Examples
from router_backend.user_files import DataError

__all__ = ["DataError", "Examples"]
