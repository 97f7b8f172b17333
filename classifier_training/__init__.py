"""Data, training, evaluation, calibration, ONNX export and promotion of the prompt classifier."""
