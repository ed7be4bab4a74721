// PGM and PPM in their binary forms, P5 and P6, as s2m_edge/imaging/picture.py reads them. stb_image would not scale by the header's largest
// value, nor put the two bytes of a deep value in order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "files.hpp"

namespace s2m {

struct Pnm {
  std::size_t width, height, channels;  // 1: grey, 3: RGB
  std::vector<std::uint16_t> values;    // height x width x channels: deep ones as stored, else scaled to 0..255
  bool deep;                            // 16 bits a value
};

// Whether a file begins as one.
bool is_pnm(const Bytes& file);

// Throws std::runtime_error that says what is wrong: a header that cannot be, or fewer bytes than it promises. Nothing is
// allocated before that is known.
Pnm parse_pnm(const Bytes& file);

}  // namespace s2m
