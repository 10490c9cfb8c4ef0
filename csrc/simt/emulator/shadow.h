// What the race build remembers about a piece of memory: for every four bytes the last writes and some reads.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>

namespace simt::emulator {

// One read or write of up to four bytes.
struct Access {
  std::uint32_t operation = 0;  // which launch or copy; see RaceChecker
  std::uint32_t block = 0;
  std::uint32_t time = 0;  // the thread's own clock
  std::int32_t code = 0;   // see short_address(), or with at_site the number of a RaceChecker::Deed; 0: not a
                           // kernel's
  std::uint16_t thread = 0;
  std::uint8_t bytes = 0;  // a bit for each byte; 0: no access
  bool atomic : 1 = false;
  bool at_site : 1 = false;
};

class Shadow {
 public:
  // Two writes, so that the two bfloat16 of a word may have different writers. Two reads, so that one of them
  // is not by the thread that writes next; a third reader replaces one of them, and a race with it may go
  // unseen.
  struct Cell {
    Access writes[2];
    Access reads[2];
    std::uint8_t written = 0;  // bytes that hold something
  };

  explicit Shadow(std::size_t bytes);

  // Calls visit(cell, mask) for every four-byte cell of the range, the mask saying which bytes.
  template <class Visit>
  void visit(std::size_t offset, std::size_t bytes, Visit visit) {
    const std::size_t end = offset + bytes;
    for (std::size_t at = offset; at < end;) {
      const std::size_t cell = at / 4;
      const std::size_t cell_end = end < (cell + 1) * 4 ? end : (cell + 1) * 4;
      const auto mask = static_cast<std::uint8_t>(((1u << (cell_end - at)) - 1) << at % 4);
      visit(cells_[cell], mask);
      at = cell_end;
    }
  }

  void clear(std::size_t bytes);

 private:
  struct Free {
    void operator()(Cell* cells) const { std::free(cells); }
  };
  std::unique_ptr<Cell[], Free> cells_;
};

// Puts an access where it replaces the least: over an access to the same bytes that `replaceable` allows,
// else into a free place, else over the older one.
template <class Replaceable>
void remember(std::span<Access, 2> places, const Access& now, Replaceable replaceable) {
  Access* place = nullptr;
  for (Access& old : places) {
    if (old.bytes == 0 || ((old.bytes & ~now.bytes) == 0 && replaceable(old))) place = &old;
  }
  if (place == nullptr) place = places[0].time <= places[1].time ? &places[0] : &places[1];
  *place = now;
}

}  // namespace simt::emulator
