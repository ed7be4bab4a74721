// UTF-8, and a stranger's text in a line of ours.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace s2m {

void append_utf8(std::string& text, std::uint32_t point);

// Bytes of the UTF-8 sequence that begins `text`, which is not empty; 0 where none does.
std::size_t utf8_length(std::string_view text);

// The code points of a text; U+FFFD for every byte that belongs to none.
std::vector<std::uint32_t> code_points(std::string_view text);

// Control characters, and those that turn the direction of writing or end a line.
bool is_hidden(std::uint32_t point);

// Names of files, classes and pictures on a terminal: control characters and those that turn the writing are escaped,
// what is not UTF-8 becomes U+FFFD.
std::string plain(std::string_view text);

// As plain, cut to 200 characters: for what a contract holds.
std::string shown(std::string_view text);

}  // namespace s2m
