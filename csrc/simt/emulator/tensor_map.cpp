// Tensor maps: what may be one, and where the rows of a box are.

#include "simt/emulator/tensor_map.h"

#include <algorithm>
#include <string>

#include "simt/emulator/text.h"
#include "simt/hopper.h"

namespace simt {
namespace {

using emulator::Site;

class Refusal {
 public:
  explicit Refusal(Site site) : site_(site) {}
  void unless(bool holds, const std::string& what) const {
    if (!holds) throw Error("make_tensor_map at " + emulator::where(site_) + ": " + what);
  }

 private:
  Site site_;
};

std::string number(std::uint64_t value) { return std::to_string(value); }

void check_dimension(const TensorMapSpec& spec, int d, const Refusal& refuse) {
  const std::string name = " of dimension " + number(static_cast<std::uint64_t>(d));
  refuse.unless(spec.size[d] >= 1 && spec.size[d] <= 1ull << 32,
                "size " + number(spec.size[d]) + name + ", wanted 1 to 2^32");
  refuse.unless(spec.box[d] >= 1 && spec.box[d] <= 256,
                "box " + number(spec.box[d]) + name + ", wanted 1 to 256");
  refuse.unless(spec.step[d] >= 1 && spec.step[d] <= 8,
                "step " + number(spec.step[d]) + name + ", wanted 1 to 8");
  if (d == 0) {
    refuse.unless(spec.step[0] == 1, "step " + number(spec.step[0]) + name + ", wanted 1");
    return;
  }
  const std::uint64_t stride = spec.stride[d - 1];
  refuse.unless(stride % 16 == 0 && stride > 0 && stride < 1ull << 40,
                "stride " + number(stride) + name + ", wanted a multiple of 16 bytes below 2^40");
}

}  // namespace

TensorMap make_tensor_map(const TensorMapSpec& spec, Site site) {
  const Refusal refuse(site);
  refuse.unless(spec.rank >= 2 && spec.rank <= 5, "rank " + std::to_string(spec.rank) + ", wanted 2 to 5");
  const auto base = reinterpret_cast<std::uintptr_t>(spec.base);
  refuse.unless(base != 0 && base % 16 == 0, "the address is no multiple of 16");
  TensorMap map{};
  map.base = const_cast<void*>(spec.base);
  map.rank = static_cast<std::uint8_t>(spec.rank);
  map.element_bytes = spec.type == ElementType::bfloat16 ? 2 : 4;
  map.swizzle = static_cast<std::uint8_t>(spec.swizzle);
  for (int d = 0; d < spec.rank; ++d) {
    check_dimension(spec, d, refuse);
    // 2^32 itself is kept as one less: coordinates are 32-bit numbers with a sign and cannot reach it.
    map.size[d] = static_cast<std::uint32_t>(std::min<std::uint64_t>(spec.size[d], 0xffffffff));
    map.box[d] = static_cast<std::uint16_t>(spec.box[d]);
    map.step[d] = static_cast<std::uint8_t>(spec.step[d]);
    if (d > 0) map.stride[d - 1] = spec.stride[d - 1];
  }
  const std::uint32_t inner = spec.box[0] * map.element_bytes;
  refuse.unless(inner % 16 == 0, "a row of the box is " + number(inner) + " bytes, wanted a multiple of 16");
  if (spec.swizzle != Swizzle::none) {
    const std::uint32_t wanted = 16u << map.swizzle;
    refuse.unless(inner == wanted, "a row of the box is " + number(inner) + " bytes, wanted the " +
                                       number(wanted) + " of its swizzle");
  }
  return map;
}

namespace emulator {

std::uint32_t box_rows(const TensorMap& map) {
  std::uint32_t rows = 1;
  for (int d = 1; d < map.rank; ++d) rows *= box_count(map, d);
  return rows;
}

std::uint32_t box_bytes(const TensorMap& map) {
  return box_rows(map) * box_count(map, 0) * map.element_bytes;
}

BoxRow box_row(const TensorMap& map, const int* at, std::uint32_t row) {
  const std::uint32_t count = box_count(map, 0);
  BoxRow result{row * count * map.element_bytes, count * map.element_bytes, nullptr, 0, 0};
  std::int64_t offset = 0;
  for (int d = 1; d < map.rank; ++d) {
    const std::uint32_t extent = box_count(map, d);
    const std::int64_t index = at[d] + static_cast<std::int64_t>(row % extent) * map.step[d];
    row /= extent;
    if (index < 0 || index >= map.size[d]) return result;
    offset += index * static_cast<std::int64_t>(map.stride[d - 1]);
  }
  const std::int64_t first = std::max<std::int64_t>(0, -static_cast<std::int64_t>(at[0]));
  const std::int64_t last = std::min<std::int64_t>(count, static_cast<std::int64_t>(map.size[0]) - at[0]);
  if (first >= last) return result;
  result.global = static_cast<unsigned char*>(map.base) + offset + (at[0] + first) * map.element_bytes;
  result.skip = static_cast<std::uint32_t>(first) * map.element_bytes;
  result.inside = static_cast<std::uint32_t>(last - first) * map.element_bytes;
  return result;
}

}  // namespace emulator
}  // namespace simt
