// SPDX-License-Identifier: Apache-2.0
// A small test framework for the gate's own tests: TEST(a_sentence) { CHECK(...); CHECK_EQ(a, b); }
#pragma once

#include <cstdlib>
#include <functional>
#include <iostream>
#include <string>
#include <vector>

namespace check {

struct Test {
  std::string name;
  std::function<void()> body;
};

inline std::vector<Test>& tests() {
  static std::vector<Test> tests;
  return tests;
}

struct Register {
  Register(const char* name, void (*body)()) { tests().push_back({name, body}); }
};

[[noreturn]] inline void fail(const char* file, int line, const std::string& what) {
  std::cerr << file << ":" << line << ": " << what << std::endl;
  std::exit(1);
}

template <typename Left, typename Right>
void equal(const char* file, int line, const char* what, const Left& left, const Right& right) {
  if (left == right) return;
  std::cerr << file << ":" << line << ": " << what << ": " << left << " is not " << right << std::endl;
  std::exit(1);
}

}  // namespace check

#define TEST(name)                                           \
  static void name();                                        \
  static const check::Register register_##name(#name, name); \
  static void name()
#define CHECK(condition) \
  if (!(condition)) check::fail(__FILE__, __LINE__, #condition)
#define CHECK_EQ(left, right) check::equal(__FILE__, __LINE__, #left " == " #right, left, right)
