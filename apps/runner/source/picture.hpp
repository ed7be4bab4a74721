// Picture files in and out: PNG, JPEG and BMP by stb_image, PPM and PGM, as s2m_edge/imaging/read.py treats them.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "preprocess.hpp"

namespace s2m {

// Whether the name ends like a picture that read_picture opens.
bool is_picture_name(const std::filesystem::path& path);

// 8 bits are taken as they are, 16 bits become levels by the network's rule. Grey becomes RGB, alpha is dropped, EXIF
// orientation is applied. Throws ImageFailure: missing, empty, corrupt (checksums of PNG are checked), smaller than 8 x 8,
// or too large for memory.
Picture read_picture(const std::filesystem::path& path, const Intensity& intensity = {});

// Write as PNG with `channels` 1 or 3. Throws Failure.
void write_png(const std::filesystem::path& path, std::size_t width, std::size_t height, std::size_t channels,
               const std::vector<std::uint8_t>& pixels);

}  // namespace s2m
