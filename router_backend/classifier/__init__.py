"""The classifier's artifact and how prompts become its inputs."""
