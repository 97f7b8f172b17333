"""TensorRT-LLM's `tensorrt_llm` (LLM API) for tests: its tensors and its habits, the text from the local model."""

from tests.support.trtllm_model import LocalModel, scalar, serve, strings


class TritonPythonModel:
    def initialize(self, args):
        self.model = LocalModel()

    def execute(self, requests):
        for request in requests:
            serve(request, self.answer)

    def answer(self, request, send):
        prompt = scalar(request, "text_input").decode()
        limit = int(scalar(request, "sampling_param_max_tokens", 32))
        options = {
            "temperature": scalar(request, "sampling_param_temperature", 1.0),
            "top_p": scalar(request, "sampling_param_top_p", 0.0),
            "top_k": scalar(
                request, "sampling_param_top_k", 1 if scalar(request, "sampling_param_top_p") is None else 0
            ),
            "seed": scalar(request, "sampling_param_seed", 0),
        }
        streaming, stops = scalar(request, "streaming", False), strings(request, "sampling_param_stop")
        text = "" if scalar(request, "sampling_param_exclude_input_from_output", False) else prompt
        count, reason = 0, None
        for piece in self.model.generate(request, prompt, limit, options):
            text += piece
            count += 1
            found = [text.index(stop) for stop in stops if stop in text]
            if found:
                text, reason = text[: min(found)], "stop"
                break
            if streaming:
                send(self.outputs(text, None))
        send(self.outputs(text, reason or ("length" if count >= limit else "stop")))

    @staticmethod
    def outputs(text, reason):
        return {"text_output": [text], "finish_reason": [str(reason)]}
