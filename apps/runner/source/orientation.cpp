#include "orientation.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace s2m {

namespace {

constexpr std::string_view kPngSignature = "\x89PNG\r\n\x1a\n";
constexpr std::string_view kJpegStart = "\xff\xd8\xff", kExif{"Exif\0\0", 6};
constexpr std::size_t kLargestSide = 65535;
constexpr std::uint16_t kOrientationTag = 0x0112;

std::string_view view(const Bytes& file) { return {reinterpret_cast<const char*>(file.data()), file.size()}; }

bool begins(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

std::uint32_t read_number(std::string_view bytes, std::size_t at, std::size_t count, bool big_endian) {
  std::uint32_t value = 0;
  for (std::size_t index = 0; index < count; ++index)
    value = value << 8 | static_cast<unsigned char>(bytes[at + (big_endian ? index : count - 1 - index)]);
  return value;
}

// CRC-32 as in PNG's annex D.
std::uint32_t checksum(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> table = [] {
    std::array<std::uint32_t, 256> values;
    for (std::uint32_t index = 0; index < 256; ++index) {
      std::uint32_t value = index;
      for (int bit = 0; bit < 8; ++bit) value = value & 1 ? 0xEDB88320u ^ value >> 1 : value >> 1;
      values[index] = value;
    }
    return values;
  }();
  std::uint32_t value = 0xFFFFFFFFu;
  for (const char letter : bytes) value = table[(value ^ static_cast<unsigned char>(letter)) & 0xFF] ^ value >> 8;
  return ~value;
}

// Calls visit(type, body, type and body, checksum) for every whole chunk; visit returns whether to go on. Returns whether
// visit ended it.
template <class Visit>
bool visit_chunks(std::string_view file, const Visit& visit) {
  std::size_t at = kPngSignature.size();
  while (file.size() - at >= 12) {
    const std::size_t length = read_number(file, at, 4, true);
    if (length > file.size() - at - 12) return false;
    const std::string_view covered = file.substr(at + 4, length + 4);
    if (!visit(covered.substr(0, 4), covered.substr(4), covered, read_number(file, at + 8 + length, 4, true))) return true;
    at += length + 12;
  }
  return false;
}

// Whether a BMP holds all its rows, padding of the last one aside; compressed ones are not supported anyway.
bool is_cut_bitmap(std::string_view file) {
  if (file.size() < 34) return true;
  const std::size_t offset = read_number(file, 10, 4, false);
  const bool early = read_number(file, 14, 4, false) == 12;  // the header of OS/2
  const std::size_t width = read_number(file, 18, early ? 2 : 4, false);
  const auto stated = static_cast<std::int64_t>(read_number(file, early ? 20 : 22, early ? 2 : 4, false));
  const std::int64_t signed_height = early || stated < std::int64_t{1} << 31 ? stated : stated - (std::int64_t{1} << 32);
  const auto height = static_cast<std::size_t>(signed_height < 0 ? -signed_height : signed_height);
  const std::size_t bits = read_number(file, early ? 24 : 28, 2, false);
  if (width == 0 || height == 0 || width > kLargestSide || height > kLargestSide || offset > file.size()) return true;
  const std::size_t row = (width * bits + 31) / 32 * 4;
  return row * (height - 1) + (width * bits + 7) / 8 > file.size() - offset;
}

// The TIFF structure of a JPEG's APP1 segment, or an empty view.
std::string_view jpeg_exif(std::string_view file) {
  std::size_t at = 2;
  while (file.size() - at >= 4 && file[at] == '\xff') {
    const auto marker = static_cast<unsigned char>(file[at + 1]);
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == 0xDA || marker == 0xD9) break;  // pixels follow
    const std::size_t length = read_number(file, at + 2, 2, true);
    if (length < 2 || length > file.size() - at - 2) break;
    const std::string_view body = file.substr(at + 4, length - 2);
    if (marker == 0xE1 && begins(body, kExif)) return body.substr(kExif.size());
    at += 2 + length;
  }
  return {};
}

}  // namespace

std::string damage(const Bytes& bytes) {
  const std::string_view file = view(bytes);
  if (begins(file, kPngSignature)) {
    std::string found = "it is truncated";
    visit_chunks(file, [&found](auto type, auto, auto covered, std::uint32_t stated) {
      if (checksum(covered) != stated) {
        found = "a checksum is wrong";
        return false;
      }
      if (type == "IEND") found.clear();
      return type != "IEND";
    });
    return found;
  }
  if (begins(file, "BM") && is_cut_bitmap(file)) return "it is truncated";
  if (begins(file, kJpegStart) && file.rfind("\xff\xd9") == std::string_view::npos) return "it is truncated";
  return "";
}

int exif_orientation(const Bytes& bytes) {
  const std::string_view file = view(bytes);
  std::string_view tiff;
  if (begins(file, kPngSignature)) {
    visit_chunks(file, [&tiff](auto type, auto body, auto, std::uint32_t) {
      if (type == "eXIf") tiff = body;
      return type != "eXIf";
    });
  } else if (begins(file, kJpegStart)) {
    tiff = jpeg_exif(file);
  }
  if (tiff.size() < 8 || !(begins(tiff, "II") || begins(tiff, "MM"))) return 1;
  const bool big_endian = tiff[0] == 'M';
  const std::size_t directory = read_number(tiff, 4, 4, big_endian);
  if (directory > tiff.size() - 2) return 1;
  const std::size_t entries = read_number(tiff, directory, 2, big_endian);
  for (std::size_t index = 0, at = directory + 2; index < entries && at + 12 <= tiff.size(); ++index, at += 12) {
    if (read_number(tiff, at, 2, big_endian) != kOrientationTag) continue;
    const std::uint32_t value = read_number(tiff, at + 8, 2, big_endian);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Picture turned_upright(Picture picture, int orientation) {
  if (orientation <= 1) return picture;
  // Of a shown pixel (x, y): swap first where the picture lies on its side, then mirror the stored axes.
  const bool lies = orientation >= 5;
  const bool mirror_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Picture shown{lies ? picture.height : picture.width, lies ? picture.width : picture.height,
                std::vector<std::uint8_t>(picture.rgb.size())};
  for (std::size_t y = 0; y < shown.height; ++y)
    for (std::size_t x = 0; x < shown.width; ++x) {
      std::size_t column = lies ? y : x, row = lies ? x : y;
      if (mirror_x) column = picture.width - 1 - column;
      if (mirror_y) row = picture.height - 1 - row;
      std::copy_n(picture.rgb.data() + (row * picture.width + column) * 3, 3, shown.rgb.data() + (y * shown.width + x) * 3);
    }
  return shown;
}

}  // namespace s2m
