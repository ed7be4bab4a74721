#include "text.hpp"

#include <cstdio>

namespace s2m {

namespace {

constexpr std::size_t kMostShown = 200;

// The code point that the first `length` bytes, a UTF-8 sequence, stand for.
std::uint32_t point_of(std::string_view text, std::size_t length) {
  const auto first = static_cast<unsigned char>(text[0]);
  std::uint32_t point = length == 1 ? first : first & (0xFFu >> (length + 1));
  for (std::size_t index = 1; index < length; ++index) point = point << 6 | (static_cast<unsigned char>(text[index]) & 0x3Fu);
  return point;
}

}  // namespace

void append_utf8(std::string& text, std::uint32_t point) {
  const auto add = [&text](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    add(point);
  } else if (point < 0x800) {
    add(0xC0 | point >> 6), add(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    add(0xE0 | point >> 12), add(0x80 | (point >> 6 & 0x3F)), add(0x80 | (point & 0x3F));
  } else {
    add(0xF0 | point >> 18), add(0x80 | (point >> 12 & 0x3F)), add(0x80 | (point >> 6 & 0x3F)), add(0x80 | (point & 0x3F));
  }
}

std::size_t utf8_length(std::string_view text) {
  const auto byte = [&text](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned first = byte(0);
  const std::size_t length = first < 0x80 ? 1 : first >= 0xC2 && first < 0xE0 ? 2 : first >= 0xE0 && first < 0xF0 ? 3
                             : first >= 0xF0 && first < 0xF5                  ? 4
                                                                              : 0;
  if (length == 0 || length > text.size()) return 0;
  for (std::size_t index = 1; index < length; ++index)
    if ((byte(index) & 0xC0) != 0x80) return 0;
  if ((first == 0xE0 && byte(1) < 0xA0) || (first == 0xED && byte(1) >= 0xA0)) return 0;  // overlong, surrogate
  if ((first == 0xF0 && byte(1) < 0x90) || (first == 0xF4 && byte(1) >= 0x90)) return 0;  // overlong, above U+10FFFF
  return length;
}

std::vector<std::uint32_t> code_points(std::string_view text) {
  std::vector<std::uint32_t> points;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    points.push_back(length == 0 ? 0xFFFD : point_of(text, length));
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return points;
}

bool is_hidden(std::uint32_t point) {
  return point < 0x20 || (point >= 0x7F && point <= 0x9F) || point == 0x200E || point == 0x200F ||
         (point >= 0x2028 && point <= 0x202E) || (point >= 0x2066 && point <= 0x2069);
}

std::string plain(std::string_view text) {
  std::string result;
  for (const std::uint32_t point : code_points(text)) {
    if (!is_hidden(point)) {
      append_utf8(result, point);
      continue;
    }
    char escape[12];
    std::snprintf(escape, sizeof escape, point < 0x100 ? "\\x%02x" : "\\u%04x", static_cast<unsigned>(point));
    result += escape;
  }
  return result;
}

std::string shown(std::string_view text) {
  std::size_t bytes = 0;
  for (std::size_t count = 0; count < kMostShown && bytes < text.size(); ++count) {
    const std::size_t length = utf8_length(text.substr(bytes));
    bytes += length == 0 ? 1 : length;
  }
  return plain(text.substr(0, bytes));
}

}  // namespace s2m
