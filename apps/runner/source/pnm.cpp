#include "pnm.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace s2m {

namespace {

constexpr std::size_t kLargest = 65535;

bool is_space(std::uint8_t letter) { return letter == ' ' || (letter >= '\t' && letter <= '\r'); }

// The next number of the header, after white space and comments; `at` is left behind it.
std::size_t read_number(const Bytes& file, std::size_t& at) {
  while (at < file.size() && (is_space(file[at]) || file[at] == '#')) {
    if (file[at] == '#')
      while (at < file.size() && file[at] != '\n' && file[at] != '\r') ++at;
    else
      ++at;
  }
  std::size_t value = 0;
  const std::size_t began = at;
  for (; at < file.size() && file[at] >= '0' && file[at] <= '9'; ++at) {
    value = value * 10 + (file[at] - std::size_t{'0'});
    if (value > kLargest) throw std::runtime_error("a number of its header is above 65535");
  }
  if (at == began || value == 0) throw std::runtime_error("its header is damaged");
  return value;
}

}  // namespace

bool is_pnm(const Bytes& file) { return file.size() > 2 && file[0] == 'P' && (file[1] == '5' || file[1] == '6'); }

Pnm parse_pnm(const Bytes& file) {
  Pnm found{};
  std::size_t at = 2;
  found.channels = file[1] == '6' ? 3 : 1;
  found.width = read_number(file, at);
  found.height = read_number(file, at);
  const std::size_t largest = read_number(file, at), bytes = largest > 255 ? 2 : 1;
  found.deep = bytes == 2;
  if (at >= file.size() || !is_space(file[at++])) throw std::runtime_error("its header is damaged");
  const std::size_t count = found.width * found.height * found.channels;
  if (count > (file.size() - at) / bytes) throw std::runtime_error("it is truncated");
  found.values.resize(count);
  for (std::size_t index = 0; index < count; ++index, at += bytes) {
    const unsigned value = found.deep ? file[at] * 256u + file[at + 1] : file[at];
    const double scaled = static_cast<double>(value) / static_cast<double>(largest) * 255;
    found.values[index] = static_cast<std::uint16_t>(found.deep ? value : std::min(std::nearbyint(scaled), 255.0));
  }
  return found;
}

}  // namespace s2m
