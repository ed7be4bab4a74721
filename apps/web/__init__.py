"""The web app: an installable page on onnxruntime-web, and the loopback server that hands it out."""
