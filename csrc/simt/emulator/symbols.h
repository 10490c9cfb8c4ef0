// From a code address to a line of source, for the race build's reports.
#pragma once

#include <cstdint>
#include <string>

namespace simt::emulator {

// Code addresses take four bytes in the checker's tables: their distance from a function of this module.
std::int32_t short_address(const void* code);

// "gemm.cu:57" of the instruction before a return address, asking addr2line; the address where that cannot
// tell.
std::string source_line(std::int32_t short_address);

}  // namespace simt::emulator
