"""Models on Amazon Bedrock, by Converse and ConverseStream: one request and one answer for models of all makers."""

from router_backend.forwarding.upstreams.bedrock.server import BedrockServer

__all__ = ["BedrockServer"]
