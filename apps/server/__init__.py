"""The study server: studies arrive by C-STORE, segmentations leave into a folder and to another DICOM node."""
