// Asks addr2line, which comes with g++. Only reports need it, so its time does not matter.

#include "simt/emulator/symbols.h"

#include <dlfcn.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>

namespace simt::emulator {
namespace {

void anchor() {}

std::string quoted(const std::string& text) {
  std::string result = "'";
  for (const char c : text) result += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return result + "'";
}

std::string hexadecimal_address(std::uintptr_t address) {
  std::array<char, 16> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), address, 16).ptr;
  return "0x" + std::string(digits.data(), end);
}

// The output of a command, line by line; nothing when it cannot run.
std::string output_of(const std::string& command) {
  const auto close = [](std::FILE* file) { pclose(file); };
  const std::unique_ptr<std::FILE, decltype(close)> pipe(popen(command.c_str(), "r"), close);
  std::string text;
  std::array<char, 4096> buffer;
  while (pipe && std::fgets(buffer.data(), static_cast<int>(buffer.size()), pipe.get()))
    text += buffer.data();
  return text;
}

// Of the inlined calls at an address, innermost first, the first that is not in the emulator's own headers.
std::string kernel_line(const std::string& frames) {
  std::string line;
  for (std::size_t begin = 0; begin < frames.size();) {
    const std::size_t end = frames.find('\n', begin);
    line = frames.substr(begin, end - begin);
    begin = end == std::string::npos ? frames.size() : end + 1;
    if (line.find("simt/emulator/") == std::string::npos && line.find("??") == std::string::npos) break;
  }
  line = line.substr(0, line.find(" (discriminator"));
  return line.substr(line.rfind('/') + 1);
}

std::string ask(const void* code) {
  Dl_info module;
  if (dladdr(code, &module) == 0 || module.dli_fname == nullptr) return "";
  const auto absolute = reinterpret_cast<std::uintptr_t>(code);
  const auto relative = absolute - reinterpret_cast<std::uintptr_t>(module.dli_fbase);
  const std::string command = "addr2line -i -e " + quoted(module.dli_fname) + " ";
  std::string line = kernel_line(output_of(command + hexadecimal_address(relative) + " 2>/dev/null"));
  if (line.empty() || line.find("??") != std::string::npos) return "";
  return line;
}

}  // namespace

std::int32_t short_address(const void* code) {
  return static_cast<std::int32_t>(static_cast<const char*>(code) - reinterpret_cast<const char*>(&anchor));
}

std::string source_line(std::int32_t short_address) {
  static std::mutex mutex;
  static std::map<std::int32_t, std::string> known;
  const std::lock_guard lock(mutex);
  std::string& line = known[short_address];
  if (line.empty()) {
    const char* code = reinterpret_cast<const char*>(&anchor) + short_address - 1;
    line = ask(code);
    if (line.empty()) {
      line = hexadecimal_address(reinterpret_cast<std::uintptr_t>(code)) +
             " (compile with -g; install addr2line)";
    }
  }
  return line;
}

}  // namespace simt::emulator
