// Descriptors: the bits, and what is wrong with one.

#include "simt/emulator/wgmma_operand.h"

#include <cstring>
#include <string>

#include "simt/emulator/bf16.h"
#include "simt/emulator/text.h"

namespace simt::emulator {
namespace {

// By Swizzle, as hardware numbers them.
constexpr std::uint64_t kLayouts[] = {0, 3, 2, 1};

std::string number(std::uint64_t value) { return std::to_string(value); }

class Refusal {
 public:
  Refusal(const char* name, Site site) : name_(name), site_(site) {}
  void unless(bool holds, const std::string& what) const {
    if (!holds) throw Error("wgmma at " + where(site_) + ": the descriptor of " + name_ + ": " + what);
  }

 private:
  const char* name_;
  Site site_;
};

// From one pattern of 8 rows to the next there is room for one, and the swizzle begins anew there.
void check_pitch(const char* which, std::uint32_t pitch, std::uint32_t pattern, bool swizzled,
                 const Refusal& refuse) {
  refuse.unless(pitch >= pattern,
                std::string(which) + " " + number(pitch) + " bytes, and 8 rows take " + number(pattern));
  refuse.unless(!swizzled || pitch % pattern == 0, std::string(which) + " " + number(pitch) +
                                                       " bytes is no multiple of the " + number(pattern) +
                                                       " after which the swizzle repeats");
}

// Every pattern of 8 rows that the operand touches lies inside one shared object.
void check_extent(const SharedMemory& shared, const Operand& operand, const Refusal& refuse) {
  const std::uint32_t units = 1u << operand.swizzle;
  const std::uint32_t pattern = units * 128;
  const bool along_k = operand.major == Major::k;
  const std::uint32_t i_step = along_k ? 8 : units * 8;
  const std::uint32_t k_step = along_k && operand.swizzle > 0 ? 16 : 8;
  for (std::uint32_t i = 0; i < static_cast<std::uint32_t>(operand.count); i += i_step) {
    for (std::uint32_t k = 0; k < 16; k += k_step) {
      const std::uint32_t begin = operand.offset(i, k) / (units * 16) * (units * 16);
      const void* address = shared.at(begin);
      refuse.unless(begin + pattern <= SharedMemory::kArenaBytes && shared.inside(address, pattern),
                    "8 rows of " + number(units * 16) + " bytes at " +
                        (begin < SharedMemory::kArenaBytes ? shared.describe(address) : "no address") +
                        " are not inside a shared object");
    }
  }
}

}  // namespace

std::uint64_t encode_descriptor(const SharedMemory& shared, const void* tile, std::uint32_t leading,
                                std::uint32_t stride, Swizzle swizzle, Site site) {
  const auto refuse = [&](const std::string& what) {
    throw Error("wgmma_descriptor at " + where(site) + ": " + what);
  };
  if (!shared.contains(tile)) refuse("the tile is not in shared memory");
  const std::uint64_t start = shared.offset(tile);
  if (start % 16 != 0) refuse("the tile, " + shared.describe(tile) + ", is no multiple of 16 bytes");
  if (start >= 1u << 18) refuse("the tile lies beyond 256 KB, which a descriptor does not reach");
  if (leading % 16 != 0 || leading >= 1u << 18 || stride % 16 != 0 || stride >= 1u << 18) {
    refuse("leading " + number(leading) + " and stride " + number(stride) +
           ", wanted multiples of 16 below 2^18");
  }
  return start >> 4 | std::uint64_t{leading >> 4} << 16 | std::uint64_t{stride >> 4} << 32 |
         kLayouts[static_cast<int>(swizzle)] << 62;
}

Operand decode_operand(const SharedMemory& shared, std::uint64_t descriptor, Major major, int count,
                       const char* name, Site site) {
  const Refusal refuse(name, site);
  const auto field = [&](int bit) { return static_cast<std::uint32_t>(descriptor >> bit & 0x3fff) << 4; };
  const auto layout = static_cast<int>(descriptor >> 62);
  Operand operand{field(0), field(16), field(32), layout == 0 ? 0 : 4 - layout, major, count};
  refuse.unless((descriptor & ~0xc000'3fff'3fff'3fffull) == 0,
                "bits are set that wgmma_descriptor leaves clear");
  const std::uint32_t pattern = 128u << operand.swizzle;
  const std::uint32_t row = 16u << operand.swizzle;
  const bool swizzles = operand.swizzle > 0;
  if (swizzles) {
    const std::uint32_t beside = operand.start % pattern;
    refuse.unless(beside < row && (major == Major::k || beside == 0),
                  "the start is " + number(beside) + " bytes past a multiple of " + number(pattern) +
                      ", after which the swizzle repeats" +
                      (major == Major::k ? "; steps along K stay inside the first row" : ""));
    refuse.unless(major == Major::mn || beside + 32 <= row, "16 elements of K reach past the row");
  }
  // stride: between 8 rows of M or N (K-major), or of K (MN-major with a swizzle); the other one is leading.
  const bool leading_used = swizzles ? major == Major::mn && count > static_cast<int>(row / 2) : true;
  const bool stride_used = swizzles || major == Major::k ? true : count > 8;
  if (stride_used) check_pitch("stride", operand.stride, pattern, swizzles, refuse);
  if (leading_used) check_pitch("leading", operand.leading, pattern, swizzles, refuse);
  check_extent(shared, operand, refuse);
  return operand;
}

void read_operand(const SharedMemory& shared, const Operand& operand, float* out) {
  const auto count = static_cast<std::uint32_t>(operand.count);
  const std::uint32_t step = operand.major == Major::k ? count : 1;  // in `out`, along the unit
  operand.for_each_unit([&](std::uint32_t offset, std::uint32_t i, std::uint32_t k) {
    std::uint16_t bits[8];
    std::memcpy(bits, shared.at(offset), sizeof bits);
    float* to = out + k * count + i;
    for (std::uint32_t e = 0; e < 8; ++e) to[e * step] = to_float({bits[e]});
  });
}

}  // namespace simt::emulator
