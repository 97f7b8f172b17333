"""How the gateway asks Triton (KServe's v2 protocol): one kind of call, over gRPC or over HTTP with binary tensors."""
