// What stb_image does not look at: checksums and the end of a file, and EXIF orientation.
#pragma once

#include <string>

#include "files.hpp"
#include "preprocess.hpp"

namespace s2m {

// Why a PNG, JPEG or BMP cannot be whole (a wrong checksum, no end, too few rows), or an empty text. stb_image checks none
// of it, and would show a damaged picture as if nothing were wrong.
std::string damage(const Bytes& file);

// The EXIF orientation of a JPEG or PNG, 1..8; 1 where there is none.
int exif_orientation(const Bytes& file);

// The picture as EXIF orientation `orientation` wants it shown.
Picture turned_upright(Picture picture, int orientation);

}  // namespace s2m
