"""The board's console program in C++: built here, for this machine or another one. See README.md."""
