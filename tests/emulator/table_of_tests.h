// A table of tests and the program that runs them.
#pragma once

#include <cstdio>
#include <exception>
#include <functional>
#include <string>
#include <vector>

struct Test {
  const char* name;
  std::function<bool()> passes;
};

// Prints a line for each test; returns how many failed. `before` runs before each.
inline int run_tests(const std::vector<Test>& tests, const std::function<void()>& before = [] {}) {
  int failed = 0;
  for (const Test& test : tests) {
    std::string outcome = "passed";
    try {
      before();
      if (!test.passes()) outcome = "FAILED";
    } catch (const std::exception& error) {
      outcome = std::string("FAILED: ") + error.what();
    }
    failed += outcome != "passed";
    std::printf("%s: %s\n", test.name, outcome.c_str());
  }
  return failed;
}
