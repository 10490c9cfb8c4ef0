// What the programs of planted bugs share. A case is a kernel with a bug and, behind the same name, the same
// kernel without it. Lines that a report must name end in a comment:  // <- name of the case
#pragma once

#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <string>
#include <vector>

#include "simt/host.h"

struct Case {
  const char* name;
  std::function<bool(bool bug)> right;  // runs it; whether the result is right
};

// program list | program CASE bug | program CASE fixed | program all fixed
inline int run_case(const Case& each, bool bug) {
  try {
    simt::set_device(-1);
    const bool right = each.right(bug);
    std::printf("%s: %s\n", each.name, right ? "right" : "wrong");
    return right ? 0 : 1;
  } catch (const std::exception& error) {
    std::printf("%s: error: %s\n", each.name, error.what());
    return 1;
  }
}

inline int run_cases(const std::vector<Case>& cases, int count, char** arguments) {
  const std::string chosen = count > 1 ? arguments[1] : "";
  const bool bug = count > 2 && std::strcmp(arguments[2], "bug") == 0;
  int failed = 0;
  int met = 0;
  for (const Case& each : cases) {
    if (chosen == "list") std::printf("%s\n", each.name);
    if (chosen != "all" && chosen != each.name) continue;
    ++met;
    failed += run_case(each, bug);
  }
  if (chosen != "list" && met == 0) std::printf("no case is called '%s'\n", chosen.c_str());
  return chosen == "list" ? 0 : failed + (met == 0);
}
