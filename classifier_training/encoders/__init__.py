"""Sentence encoders: the packaged default and any Hugging Face encoder by name."""

from classifier_training.encoders.loading import Encoder, load_encoder

__all__ = ["Encoder", "load_encoder"]
