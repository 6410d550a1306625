"""Finished runs in forms that other programs read: ONNX, one web page, tables of predictions."""
