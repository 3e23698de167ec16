// SPDX-License-Identifier: Apache-2.0
// Runs every test. The first failure ends the program with exit code 1.
#include "check.h"

int main() {
  for (const check::Test& test : check::tests()) {
    std::cout << test.name << std::endl;
    test.body();
  }
  std::cout << check::tests().size() << " passed" << std::endl;
}
