// Pictures for people: a mask over its image with the notice, as s2m_edge/imaging/overlay.py paints it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "contract.hpp"
#include "preprocess.hpp"

namespace s2m {

// How wide an outline is in a picture of this size, in pixels.
int outline_thickness(std::size_t width, std::size_t height);

// The label where a pixel belongs to its region's outline, else 0: pixels within `thickness` (4-neighbourhood) of another
// label; the picture's edge is no border. Labels 1..classes.
std::vector<std::uint8_t> outlines(const std::vector<std::uint8_t>& labels, std::size_t width, std::size_t height,
                                   std::size_t classes, int thickness);

// Paint each class of the labels into the picture: filled lightly, and outlined.
void paint(Picture& picture, const std::vector<std::uint8_t>& labels, const std::vector<SegmentClass>& classes);

// The picture with a strip below that holds `caption` and the notice; at least 96 pixels wide, so that it can be read.
Picture with_strip(const Picture& picture, const std::string& caption);

}  // namespace s2m
