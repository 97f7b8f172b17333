"""What the prompts of each public collection are, and which task its own documentation gives them."""

from classifier_training.data.public.readers import assistants, benchmarks, english, instructions, japanese, p3
from classifier_training.data.public.readers.prompt import Reader

READERS: dict[str, Reader] = {
    **assistants.READERS,
    **benchmarks.READERS,
    **english.READERS,
    **instructions.READERS,
    **japanese.READERS,
    **p3.READERS,
}
