"""What the labels of a study become: files that viewers and spreadsheets open."""
