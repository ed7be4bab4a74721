// safetensors: eight bytes of length, a JSON header, the tensors' bytes. Little-endian, as the format says.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "files.hpp"

namespace s2m {

struct StoredTensor {
  std::string type;                 // "F32", "U8", ...
  std::vector<std::size_t> shape;
  const std::uint8_t* bytes;        // inside the file's bytes, possibly not aligned
  std::size_t count;                // of bytes
};

class Safetensors {
 public:
  // Throws std::runtime_error that says what is wrong: truncated, not JSON, sizes that do not fit shape and type, or
  // tensors that do not lie one behind the other from the header to the end of the file.
  explicit Safetensors(Bytes file);
  Safetensors(const Safetensors&) = delete;  // the tensors point into this object
  Safetensors& operator=(const Safetensors&) = delete;

  bool has_metadata(const std::string& name) const;
  const std::string& metadata(const std::string& name) const;
  // Throws std::runtime_error where there is no tensor of this name, of any type and shape.
  const StoredTensor& require(const std::string& name) const;
  // The tensor called `name`, which must be of this type and shape. All of these throw std::runtime_error.
  const StoredTensor& tensor(const std::string& name, const std::string& type, const std::vector<std::size_t>& shape) const;

 private:
  Bytes file_;
  std::vector<std::pair<std::string, std::string>> metadata_;
  std::vector<std::pair<std::string, StoredTensor>> tensors_;
};

// The values of a tensor of type F32.
std::vector<float> float_values(const StoredTensor& tensor);

}  // namespace s2m
