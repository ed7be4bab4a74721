"""The ONNX target: one .onnx file for ONNX Runtime on the CPU, on phones and in browsers."""
