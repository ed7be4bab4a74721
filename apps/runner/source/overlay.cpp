#include "overlay.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wunused-parameter"
#endif
#include "stb_easy_font.h"
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

namespace s2m {

namespace {

constexpr float kFillOpacity = 0.35f;
constexpr std::uint8_t kStripGrey = 24, kTextGrey = 235;
constexpr std::size_t kSmallestWidth = 96, kMargin = 4;
constexpr std::size_t kLineHeight = 12, kVertexBytes = 16, kQuadBytes = 4 * kVertexBytes;

// Pixels of `region` within `thickness` (4-neighbourhood) of its border; the picture's edge is no border.
std::vector<char> outline(const std::vector<char>& region, std::size_t width, std::size_t height, int thickness) {
  std::vector<char> inner = region, before;
  for (int round = 0; round < thickness; ++round) {
    before = inner;
    for (std::size_t y = 0; y < height; ++y)
      for (std::size_t x = 0; x < width; ++x) {
        const std::size_t at = y * width + x;
        inner[at] = before[at] && (y == 0 || before[at - width]) && (y + 1 == height || before[at + width]) &&
                    (x == 0 || before[at - 1]) && (x + 1 == width || before[at + 1]);
      }
  }
  for (std::size_t at = 0; at < region.size(); ++at) inner[at] = region[at] && !inner[at];
  return inner;
}

std::string printable(const std::string& text) {  // the font has nothing else
  std::string plain;
  for (const char letter : text) plain += letter >= 32 && letter < 127 ? letter : '?';
  return plain;
}

std::size_t text_width(std::string text) { return static_cast<std::size_t>(stb_easy_font_width(text.data())); }

// `line` broken between words so that each part is at most `width` wide, where words allow.
std::vector<std::string> wrapped(const std::string& line, std::size_t width) {
  std::vector<std::string> parts;
  std::size_t at = 0;
  while (at < line.size()) {
    const std::size_t end = std::min(line.find(' ', at), line.size());
    const std::string word = line.substr(at, end - at);
    at = end + 1;
    if (word.empty()) continue;
    if (!parts.empty() && text_width(parts.back() + " " + word) <= width) {
      parts.back() += " " + word;
    } else {
      parts.push_back(word);
    }
  }
  return parts;
}

void write_line(Picture& picture, std::string text, std::size_t left, std::size_t top, std::size_t scale) {
  std::vector<char> quads(text.size() * 32 * kQuadBytes);
  const int count = stb_easy_font_print(0, 0, text.data(), nullptr, quads.data(), static_cast<int>(quads.size()));
  for (int index = 0; index < count; ++index) {
    float low[2], high[2];  // the first and third corners
    std::memcpy(low, quads.data() + static_cast<std::size_t>(index) * kQuadBytes, sizeof low);
    std::memcpy(high, quads.data() + static_cast<std::size_t>(index) * kQuadBytes + 2 * kVertexBytes, sizeof high);
    const auto bound = [scale](float value, std::size_t origin, std::size_t limit) {
      return std::min(origin + static_cast<std::size_t>(value) * scale, limit);
    };
    for (std::size_t y = bound(low[1], top, picture.height); y < bound(high[1], top, picture.height); ++y)
      for (std::size_t x = bound(low[0], left, picture.width); x < bound(high[0], left, picture.width); ++x)
        std::fill_n(picture.rgb.data() + (y * picture.width + x) * 3, 3, kTextGrey);
  }
}

}  // namespace

int outline_thickness(std::size_t width, std::size_t height) {
  return std::max(1, static_cast<int>(std::nearbyint(static_cast<double>(std::min(width, height)) / 250)));
}

std::vector<std::uint8_t> outlines(const std::vector<std::uint8_t>& labels, std::size_t width, std::size_t height,
                                   std::size_t classes, int thickness) {
  std::vector<std::uint8_t> found(labels.size());
  std::vector<char> region(labels.size());
  for (std::size_t label = 1; label <= classes; ++label) {
    for (std::size_t at = 0; at < labels.size(); ++at) region[at] = labels[at] == label;
    const std::vector<char> border = outline(region, width, height, thickness);
    for (std::size_t at = 0; at < labels.size(); ++at)
      if (border[at]) found[at] = labels[at];
  }
  return found;
}

void paint(Picture& picture, const std::vector<std::uint8_t>& labels, const std::vector<SegmentClass>& classes) {
  const int thickness = outline_thickness(picture.width, picture.height);
  const std::vector<std::uint8_t> border = outlines(labels, picture.width, picture.height, classes.size(), thickness);
  for (std::size_t at = 0; at < labels.size(); ++at) {
    if (!labels[at]) continue;
    const std::array<std::uint8_t, 3>& rgb = classes[labels[at] - std::size_t{1}].colour;
    for (std::size_t channel = 0; channel < 3; ++channel) {
      std::uint8_t& value = picture.rgb[at * 3 + channel];
      const float colour = rgb[channel];
      const float mixed = border[at] ? colour : static_cast<float>(value) * (1 - kFillOpacity) + colour * kFillOpacity;
      value = static_cast<std::uint8_t>(std::min(mixed + 0.5f, 255.0f));
    }
  }
}

Picture with_strip(const Picture& picture, const std::string& caption) {
  const std::size_t width = std::max(picture.width, kSmallestWidth);
  const std::size_t scale = std::min<std::size_t>(std::max<std::size_t>(width / 400, 1), 3);
  std::vector<std::string> lines;
  for (const std::string& line : {printable(caption), std::string(kNotice)})
    for (const std::string& part : wrapped(line, (width - 2 * kMargin) / scale)) lines.push_back(part);
  const std::size_t step = kLineHeight * scale;
  Picture canvas{width, picture.height + step * lines.size() + 2 * kMargin, {}};
  canvas.rgb.assign(canvas.width * canvas.height * 3, kStripGrey);
  for (std::size_t y = 0; y < picture.height; ++y)
    std::copy_n(picture.rgb.data() + y * picture.width * 3, picture.width * 3, canvas.rgb.data() + y * width * 3);
  for (std::size_t row = 0; row < lines.size(); ++row)
    write_line(canvas, lines[row], kMargin, picture.height + kMargin + scale + row * step, scale);
  return canvas;
}

}  // namespace s2m
