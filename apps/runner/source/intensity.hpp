// How values deeper than 8 bits become levels: the network's rule, as s2m_edge/imaging/intensity.py defines it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "contract.hpp"

namespace s2m {

// Levels of `count` values, of all channels together.
std::vector<std::uint8_t> spread(const std::uint16_t* values, std::size_t count, const Intensity& intensity);

}  // namespace s2m
