"""The OpenVINO target: an IR (.xml with its .bin) that takes the fitted uint8 picture."""
