"""The APIs that clients speak, each a codec around the one internal request, which is a chat request, and its chunks."""
