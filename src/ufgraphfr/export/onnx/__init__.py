"""UFGraphFormer as an ONNX graph: a history and a profile vector in, scores of every item out."""
