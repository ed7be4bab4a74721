"""The Core AI target: an .aimodel for iOS, iPadOS and macOS 27 that takes the fitted uint8 picture."""
