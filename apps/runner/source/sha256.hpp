// SHA-256 (FIPS 180-4), to know an artifact before it is loaded.
#pragma once

#include <string>

#include "files.hpp"

namespace s2m {

// 64 hexadecimal digits.
std::string sha256(const Bytes& bytes);

}  // namespace s2m
