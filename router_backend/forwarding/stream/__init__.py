"""The bytes and chunks of a streamed answer."""
