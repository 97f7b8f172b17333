"""Training data: labelled prompts, routing records, and how rows are split and balanced."""

from classifier_training.data.examples import DataError, Examples

__all__ = ["DataError", "Examples"]
