"""TensorRT-LLM's `tensorrt_llm_bls` for tests: its tensors and its habits, the text from the local language model."""

import json

from tests.support.trtllm_model import LocalModel, scalar, serve, strings


class TritonPythonModel:
    def initialize(self, args):
        parameters = json.loads(args["model_config"]).get("parameters", {})
        self.accumulates = parameters.get("accumulate_tokens", {}).get("string_value") == "true"
        self.model = LocalModel()

    def execute(self, requests):
        for request in requests:
            serve(request, self.answer)

    def answer(self, request, send):
        prompt, limit = scalar(request, "text_input").decode(), int(scalar(request, "max_tokens"))
        options = {
            "temperature": scalar(request, "temperature", 1.0),
            "top_p": scalar(request, "top_p", 0.0),
            "top_k": scalar(request, "top_k", 1 if scalar(request, "top_p") is None else 0),
            "seed": scalar(request, "seed", 0),
            "repeat_penalty": scalar(request, "repetition_penalty", 1.0),
            "presence_penalty": scalar(request, "presence_penalty", 0.0),
            "frequency_penalty": scalar(request, "frequency_penalty", 0.0),
        }
        if scalar(request, "guided_decoding_guide_type") is not None:
            options["json_schema"] = json.loads(scalar(request, "guided_decoding_guide", b'{"type": "object"}'))
        stream, stops = scalar(request, "stream", False), strings(request, "stop_words")
        text, count = "", 0
        prompt_tokens = self.model.count(prompt)
        if not scalar(request, "exclude_input_in_output", False):
            text = prompt
        for piece in self.model.generate(request, prompt, limit, options):
            text += piece
            count += 1
            stopped = any(stop in text for stop in stops)  # and the stop sequence stays in the text
            if stream:
                send(self.outputs(text if self.accumulates else piece, prompt_tokens, count if self.accumulates else 1))
            if stopped:
                break
        if not stream:
            send(self.outputs(text, prompt_tokens, count))

    @staticmethod
    def outputs(text, prompt_tokens, tokens):
        return {"text_output": [[text]], "num_input_tokens": [[prompt_tokens]], "num_output_tokens": [[tokens]]}
