"""From a fitted classifier to an artifact: ONNX in float32 and int8, tokenizer, card and manifest."""
