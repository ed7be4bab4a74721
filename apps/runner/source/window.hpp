// Sliding a network over a picture at its own resolution, as s2m_edge/imaging/window.py defines it.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "contract.hpp"
#include "preprocess.hpp"

namespace s2m {

// Called with the windows done and in all.
using Progress = std::function<void(std::size_t done, std::size_t total)>;

// Takes probabilities outputs x rows x the picture's width, of the rows from `top` on.
using Band = std::function<void(std::size_t top, std::size_t rows, const std::vector<float>& probabilities)>;

// First pixels of the windows along an axis: every floor(side * (1 - overlap)) pixels, the last one moved back so that it
// ends with the picture; one at 0 where the picture is no longer than the window.
std::vector<std::size_t> window_positions(std::size_t length, std::size_t side, double overlap);

// Weights height x width of a window's pixels: a Gaussian around the middle, no less than 0.001.
std::vector<double> window_weights(std::size_t height, std::size_t width, double sigma);

// The window that begins at (top, left) of the padded picture, black where there is no picture: one that is smaller than
// the window lies in the middle of it.
Picture window_of(const Picture& picture, std::size_t top, std::size_t left, std::size_t height, std::size_t width);

// Probabilities of a picture, some rows at a time: no more than a strip as high as a window is held. `predict` gives
// outputs x height x width of a window. Throws ImageFailure: the picture is so wide that a strip would not fit into memory.
void slide(const Picture& picture, const Preprocessing& preprocessing, std::size_t outputs,
           const std::function<std::vector<float>(const Picture& window)>& predict, const Progress& progress,
           const Band& band);

}  // namespace s2m
