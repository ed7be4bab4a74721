#include "safetensors.hpp"

#include <algorithm>
#include <cstring>
#include <stdexcept>

#include "json.hpp"
#include "text.hpp"

namespace s2m {

namespace {

constexpr std::int64_t kLargest = std::int64_t{1} << 40;
constexpr std::uint64_t kLongestHeader = std::uint64_t{1} << 22;  // a thousand golden inputs take a tenth of it

// Bytes per value; 0 for a type that this reader does not know.
std::size_t type_size(const std::string& type) {
  if (type == "U8" || type == "I8" || type == "BOOL") return 1;
  if (type == "F16" || type == "BF16" || type == "I16" || type == "U16") return 2;
  if (type == "F32" || type == "I32" || type == "U32") return 4;
  if (type == "F64" || type == "I64" || type == "U64") return 8;
  return 0;
}

}  // namespace

Safetensors::Safetensors(Bytes file) : file_(std::move(file)) {
  std::uint64_t header_length = 0;
  if (file_.size() < 8) throw std::runtime_error("it is truncated");
  for (int index = 7; index >= 0; --index) header_length = header_length << 8 | file_[static_cast<std::size_t>(index)];
  if (header_length > file_.size() - 8) throw std::runtime_error("it is truncated, or no safetensors file");
  if (header_length > kLongestHeader) throw std::runtime_error("its header is too long");
  const char* header = reinterpret_cast<const char*>(file_.data()) + 8;
  const Json entries = Json::parse({header, static_cast<std::size_t>(header_length)});
  const std::size_t data_at = 8 + static_cast<std::size_t>(header_length), data_size = file_.size() - data_at;
  for (const auto& [name, entry] : entries.members()) {
    if (name == "__metadata__") {
      for (const auto& [key, value] : entry.members()) metadata_.emplace_back(key, value.text());
      continue;
    }
    StoredTensor tensor;
    tensor.type = entry.at("dtype").text();
    std::size_t values = 1;
    for (const Json& axis : entry.at("shape").list()) {
      tensor.shape.push_back(static_cast<std::size_t>(axis.integer(0, kLargest)));
      if (tensor.shape.back() != 0 && values > static_cast<std::size_t>(kLargest) / tensor.shape.back())
        throw std::runtime_error("the tensor " + shown(name) + " is impossibly large");
      values *= tensor.shape.back();
    }
    const std::vector<Json>& offsets = entry.at("data_offsets").list();
    if (offsets.size() != 2) throw std::runtime_error("the tensor " + shown(name) + " has no two offsets");
    const auto begin = static_cast<std::size_t>(offsets[0].integer(0, kLargest));
    const auto end = static_cast<std::size_t>(offsets[1].integer(0, kLargest));
    if (begin > end || end > data_size) throw std::runtime_error("it is truncated: the tensor " + shown(name) + " lies outside");
    const std::size_t size = type_size(tensor.type);
    if (size == 0 || values * size != end - begin)
      throw std::runtime_error("the tensor " + shown(name) + " has another size than its shape");
    tensor.bytes = file_.data() + data_at + begin;
    tensor.count = end - begin;
    tensors_.emplace_back(name, std::move(tensor));
  }
  std::vector<std::pair<const std::uint8_t*, std::size_t>> parts;
  for (const auto& entry : tensors_) parts.emplace_back(entry.second.bytes, entry.second.count);
  std::sort(parts.begin(), parts.end());
  const std::uint8_t* next = file_.data() + data_at;
  for (const auto& [bytes, count] : parts) {
    if (bytes != next) throw std::runtime_error("its tensors overlap, or leave a gap");
    next += count;
  }
  if (next != file_.data() + file_.size()) throw std::runtime_error("it is longer than its tensors");
}

bool Safetensors::has_metadata(const std::string& name) const {
  return std::any_of(metadata_.begin(), metadata_.end(), [&name](const auto& entry) { return entry.first == name; });
}

const std::string& Safetensors::metadata(const std::string& name) const {
  for (const auto& entry : metadata_)
    if (entry.first == name) return entry.second;
  throw std::runtime_error("its metadata lacks '" + name + "'");
}

const StoredTensor& Safetensors::require(const std::string& name) const {
  for (const auto& entry : tensors_)
    if (entry.first == name) return entry.second;
  throw std::runtime_error("it lacks the tensor " + name);
}

const StoredTensor& Safetensors::tensor(const std::string& name, const std::string& type,
                                        const std::vector<std::size_t>& shape) const {
  const StoredTensor& found = require(name);
  if (found.type != type || found.shape != shape)
    throw std::runtime_error("the tensor " + shown(name) + " is not of the network's size and type");
  return found;
}

std::vector<float> float_values(const StoredTensor& tensor) {
  std::vector<float> values(tensor.count / sizeof(float));
  for (std::size_t index = 0; index < values.size(); ++index) {
    const std::uint8_t* at = tensor.bytes + 4 * index;
    const std::uint32_t bits = std::uint32_t{at[0]} | std::uint32_t{at[1]} << 8 | std::uint32_t{at[2]} << 16 |
                               std::uint32_t{at[3]} << 24;
    std::memcpy(&values[index], &bits, sizeof bits);
  }
  return values;
}

}  // namespace s2m
