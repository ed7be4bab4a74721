"""The desktop app: PySide6 and OpenVINO on an exported bundle. See README.md."""
