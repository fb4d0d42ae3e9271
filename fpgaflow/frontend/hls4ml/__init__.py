"""hls4ml models: a ModelGraph after its backend flow becomes a graph, with hls4ml's own arithmetic."""
