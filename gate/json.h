// SPDX-License-Identifier: Apache-2.0
// Reads one JSON object of texts, numbers and booleans.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <variant>

namespace gate::json {

struct Other {};  // null, an array or an object: no setting has such a value
using Value = std::variant<Other, bool, double, std::string>;
using Object = std::map<std::string, Value, std::less<>>;

// Empty text is an empty object. Throws std::invalid_argument with a sentence for text that is not one JSON object.
Object parse(std::string_view text);

}  // namespace gate::json
