// JSON (RFC 8259) and no more: a reader for what s2m-edge writes, and the two helpers that writing takes.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace s2m {

// Why a document is refused; `reason` is one of docs/contract.md: not-json, duplicate-key, or damaged (1e999).
struct JsonFailure : std::runtime_error {
  std::string reason;

  JsonFailure(const std::string& what, const char* why) : std::runtime_error(what), reason(why) {}
};

class Json {
 public:
  enum class Kind { kNull, kBoolean, kNumber, kText, kList, kObject };

  // Parse a whole document. Throws JsonFailure that says what is wrong and at which byte: also for a key twice in one
  // object, more than 32 levels, and a number beyond double.
  static Json parse(std::string_view document);

  Kind kind() const { return kind_; }
  bool is_null() const { return kind_ == Kind::kNull; }
  // A number that is written without a point and an exponent.
  bool is_whole_number() const { return kind_ == Kind::kNumber && whole_; }

  // The member called `name` or, for has(), whether there is one. All accessors throw std::runtime_error, naming what was
  // expected, where the value is of another kind.
  bool has(const std::string& name) const;
  const Json& at(const std::string& name) const;
  const std::vector<std::pair<std::string, Json>>& members() const;
  const std::vector<Json>& list() const;
  const std::string& text() const;
  double number() const;
  bool boolean() const;
  // A whole number in [low, high].
  std::int64_t integer(std::int64_t low, std::int64_t high) const;

 private:
  friend class JsonReader;
  const char* kind_name() const;
  void require(Kind kind, const char* name) const;

  Kind kind_ = Kind::kNull;
  bool boolean_ = false, whole_ = false;
  double number_ = 0;
  std::string text_;
  std::vector<Json> list_;
  std::vector<std::pair<std::string, Json>> members_;
};

// `text` as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD.
std::string json_text(std::string_view text);

// A number as JSON, with `digits` after the point; null where it is not finite.
std::string json_number(double value, int digits);

// A number as JSON with nine significant digits; null where it is not finite.
std::string json_number(double value);

}  // namespace s2m
