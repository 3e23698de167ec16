// SPDX-License-Identifier: Apache-2.0
#include "json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <stdexcept>
#include <utility>

namespace gate::json {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  Object document() {
    Object object = read_object();
    skip_space();
    if (!rest_.empty()) fail("text after the end");
    return object;
  }

 private:
  static constexpr int kDepth = 32;

  [[noreturn]] static void fail(const std::string& what) { throw std::invalid_argument("not a JSON object: " + what); }

  void skip_space() { rest_.remove_prefix(std::min(rest_.find_first_not_of(" \t\r\n"), rest_.size())); }

  bool accept(char wanted) {
    skip_space();
    if (rest_.empty() || rest_.front() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }

  void expect(char wanted) {
    if (!accept(wanted)) fail(std::string("'") + wanted + "' expected");
  }

  Object read_object() {
    Object object;
    if (++depth_ > kDepth) fail("nested too deep");
    expect('{');
    if (!accept('}')) {
      do {
        skip_space();
        std::string key = read_string();
        expect(':');
        object[std::move(key)] = read_value();
      } while (accept(','));
      expect('}');
    }
    --depth_;
    return object;
  }

  void skip_array() {
    if (++depth_ > kDepth) fail("nested too deep");
    expect('[');
    if (!accept(']')) {
      do read_value();
      while (accept(','));
      expect(']');
    }
    --depth_;
  }

  Value read_value() {
    skip_space();
    if (rest_.empty()) fail("a value expected");
    if (rest_.front() == '"') return read_string();
    if (rest_.front() == '{') return read_object(), Other{};
    if (rest_.front() == '[') return skip_array(), Other{};
    if (accept_word("null")) return Other{};
    if (accept_word("true")) return true;
    if (accept_word("false")) return false;
    return read_number();
  }

  bool accept_word(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }

  double read_number() {
    double number = 0;
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
    if (error != std::errc() || !std::isfinite(number)) fail("a value expected");
    rest_.remove_prefix(end - rest_.data());
    return number;
  }

  std::string read_string() {
    std::string text;
    expect('"');
    for (;;) {
      if (rest_.empty()) fail("a string without an end");
      char next = rest_.front();
      rest_.remove_prefix(1);
      if (next == '"') return text;
      if (next != '\\') {
        text += next;
        continue;
      }
      if (rest_.empty()) fail("a string without an end");
      char escaped = rest_.front();
      rest_.remove_prefix(1);
      read_escape(escaped, text);
    }
  }

  void read_escape(char escaped, std::string& text) {
    static constexpr std::string_view kNames = "\"\\/bfnrt", kMeanings = "\"\\/\b\f\n\r\t";
    if (escaped == 'u') return append_utf8(read_code_point(), text);
    size_t at = kNames.find(escaped);
    if (at == std::string_view::npos) fail("an unknown escape in a string");
    text += kMeanings[at];
  }

  unsigned read_code_point() {
    unsigned first = read_hex4();
    if (first < 0xd800 || first > 0xdfff) return first;
    if (first > 0xdbff || !rest_.starts_with("\\u")) fail("half of a surrogate pair");
    rest_.remove_prefix(2);
    unsigned second = read_hex4();
    if (second < 0xdc00 || second > 0xdfff) fail("half of a surrogate pair");
    return 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
  }

  unsigned read_hex4() {
    unsigned unit = 0;
    if (rest_.size() < 4) fail("a string without an end");
    auto [end, error] = std::from_chars(rest_.data(), rest_.data() + 4, unit, 16);
    if (error != std::errc() || end != rest_.data() + 4) fail("an unknown escape in a string");
    rest_.remove_prefix(4);
    return unit;
  }

  static void append_utf8(unsigned code, std::string& text) {
    if (code < 0x80) {
      text += static_cast<char>(code);
      return;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static constexpr unsigned kLead[] = {0, 0xc0, 0xe0, 0xf0};
    text += static_cast<char>(kLead[more] | (code >> (6 * more)));
    for (int left = more - 1; left >= 0; --left) text += static_cast<char>(0x80 | ((code >> (6 * left)) & 0x3f));
  }

  std::string_view rest_;
  int depth_ = 0;
};

}  // namespace

Object parse(std::string_view text) { return text.empty() ? Object() : Reader(text).document(); }

}  // namespace gate::json
