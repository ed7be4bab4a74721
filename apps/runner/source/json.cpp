#include "json.hpp"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <set>

#include "text.hpp"

namespace s2m {

namespace {

constexpr int kDeepest = 32;

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

}  // namespace

class JsonReader {
 public:
  explicit JsonReader(std::string_view document) : text_(document) {}

  Json read() {
    Json value = read_value(0);
    skip_space();
    if (at_ != text_.size()) complain("something follows the document");
    if (!finite_) throw JsonFailure("it holds a number that is not finite", "damaged");
    return value;
  }

 private:
  [[noreturn]] void complain(const std::string& what, const char* reason = "not-json") const {
    throw JsonFailure(what + " at byte " + std::to_string(at_), reason);
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n' || text_[at_] == '\r')) ++at_;
  }

  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  bool take(char letter) {
    skip_space();
    if (peek() != letter || at_ >= text_.size()) return false;
    ++at_;
    return true;
  }

  void expect(char letter) {
    if (!take(letter)) complain(at_ >= text_.size() ? "the document ends too early" : std::string("no '") + letter + "'");
  }

  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  Json read_value(int depth) {
    if (depth > kDeepest) complain("too deeply nested");
    skip_space();
    if (at_ >= text_.size()) complain("the document ends too early");
    Json value;
    if (peek() == '{') {
      read_object(value, depth);
    } else if (peek() == '[') {
      read_list(value, depth);
    } else if (peek() == '"') {
      value.kind_ = Json::Kind::kText;
      value.text_ = read_text();
    } else if (take_word("true") || take_word("false")) {
      value.kind_ = Json::Kind::kBoolean;
      value.boolean_ = text_[at_ - 2] == 'u';
    } else if (take_word("null")) {
      value.kind_ = Json::Kind::kNull;
    } else {
      value.kind_ = Json::Kind::kNumber;
      read_number(value);
    }
    return value;
  }

  void read_object(Json& value, int depth) {
    value.kind_ = Json::Kind::kObject;
    std::set<std::string> names;
    expect('{');
    if (take('}')) return;
    do {
      skip_space();
      if (peek() != '"') complain("a member without a name");
      std::string name = read_text();
      if (!names.insert(name).second) complain("the key '" + shown(name) + "' a second time", "duplicate-key");
      expect(':');
      value.members_.emplace_back(std::move(name), read_value(depth + 1));
    } while (take(','));
    expect('}');
  }

  void read_list(Json& value, int depth) {
    value.kind_ = Json::Kind::kList;
    expect('[');
    if (take(']')) return;
    do value.list_.push_back(read_value(depth + 1));
    while (take(','));
    expect(']');
  }

  void read_number(Json& value) {
    const std::size_t began = at_;
    if (peek() == '-') ++at_;
    if (!is_digit(peek())) complain("no JSON value");
    if (peek() == '0') {
      ++at_;
    } else {
      while (is_digit(peek())) ++at_;
    }
    const std::size_t whole = at_;
    if (peek() == '.') {
      ++at_;
      if (!is_digit(peek())) complain("a number without digits after its point");
      while (is_digit(peek())) ++at_;
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!is_digit(peek())) complain("a number without digits in its exponent");
      while (is_digit(peek())) ++at_;
    }
    value.number_ = std::strtod(std::string(text_.substr(began, at_ - began)).c_str(), nullptr);
    value.whole_ = at_ == whole;
    finite_ = finite_ && std::isfinite(value.number_);
  }

  std::uint32_t read_unit() {
    std::uint32_t unit = 0;
    for (int digit = 0; digit < 4; ++digit, ++at_) {
      const char letter = peek();
      const int value = is_digit(letter)                     ? letter - '0'
                        : letter >= 'a' && letter <= 'f' ? letter - 'a' + 10
                        : letter >= 'A' && letter <= 'F' ? letter - 'A' + 10
                                                         : -1;
      if (value < 0) complain("a \\u without four hexadecimal digits");
      unit = unit << 4 | static_cast<std::uint32_t>(value);
    }
    return unit;
  }

  std::string read_text() {
    std::string text;
    ++at_;  // the opening quote
    for (;;) {
      if (at_ >= text_.size()) complain("a string without its end");
      const char letter = text_[at_];
      if (static_cast<unsigned char>(letter) < 0x20) complain("a control character in a string");
      if (letter == '"') {
        ++at_;
        return text;
      }
      if (letter != '\\') {
        const std::size_t length = utf8_length(text_.substr(at_));
        if (length == 0) complain("a string that is not UTF-8");
        text.append(text_.substr(at_, length));
        at_ += length;
        continue;
      }
      ++at_;
      const char escaped = peek();
      ++at_;
      static constexpr std::string_view kEscapes = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
      const std::size_t known = kEscapes.find(escaped);
      if (escaped != '\0' && known != std::string_view::npos) {
        text.push_back(kMeanings[known]);
      } else if (escaped == 'u') {
        std::uint32_t point = read_unit();
        if (point >= 0xD800 && point < 0xDC00) {
          if (!take_word("\\u")) complain("half a surrogate pair");
          const std::uint32_t low = read_unit();
          if (low < 0xDC00 || low > 0xDFFF) complain("half a surrogate pair");
          point = 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00);
        } else if (point >= 0xDC00 && point < 0xE000) {
          complain("half a surrogate pair");
        }
        append_utf8(text, point);
      } else {
        complain("an unknown escape in a string");
      }
    }
  }

  std::string_view text_;
  std::size_t at_ = 0;
  bool finite_ = true;  // every number so far
};

Json Json::parse(std::string_view document) { return JsonReader(document).read(); }

const char* Json::kind_name() const {
  static constexpr const char* kNames[] = {"null", "a boolean", "a number", "a string", "a list", "an object"};
  return kNames[static_cast<int>(kind_)];
}

void Json::require(Kind kind, const char* name) const {
  if (kind_ != kind) throw std::runtime_error(std::string(kind_name()) + " where " + name + " was due");
}

bool Json::has(const std::string& name) const {
  require(Kind::kObject, "an object");
  for (const auto& member : members_)
    if (member.first == name) return true;
  return false;
}

const Json& Json::at(const std::string& name) const {
  require(Kind::kObject, "an object");
  for (const auto& member : members_)
    if (member.first == name) return member.second;
  throw std::runtime_error("there is no '" + name + "'");
}

const std::vector<std::pair<std::string, Json>>& Json::members() const {
  require(Kind::kObject, "an object");
  return members_;
}

const std::vector<Json>& Json::list() const {
  require(Kind::kList, "a list");
  return list_;
}

const std::string& Json::text() const {
  require(Kind::kText, "a string");
  return text_;
}

double Json::number() const {
  require(Kind::kNumber, "a number");
  return number_;
}

bool Json::boolean() const {
  require(Kind::kBoolean, "a boolean");
  return boolean_;
}

std::int64_t Json::integer(std::int64_t low, std::int64_t high) const {
  require(Kind::kNumber, "a number");
  if (!(number_ >= static_cast<double>(low) && number_ <= static_cast<double>(high)) || number_ != std::floor(number_))
    throw std::runtime_error("a number that is no whole one from " + std::to_string(low) + " to " + std::to_string(high));
  return static_cast<std::int64_t>(number_);
}

std::string json_text(std::string_view text) {
  std::string quoted = "\"";
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const unsigned char letter = static_cast<unsigned char>(text[0]);
    if (length == 0) {
      append_utf8(quoted, 0xFFFD);
    } else if (letter == '"' || letter == '\\') {
      quoted += {'\\', static_cast<char>(letter)};
    } else if (letter < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof escape, "\\u%04x", letter);
      quoted += escape;
    } else {
      quoted.append(text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return quoted + '"';
}

std::string json_number(double value, int digits) {
  if (!std::isfinite(value)) return "null";
  char text[400];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string json_number(double value) {
  if (!std::isfinite(value)) return "null";
  char text[40];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

}  // namespace s2m
