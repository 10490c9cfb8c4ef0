// Memory of the race build's memory.

#include "simt/emulator/shadow.h"

#include <algorithm>
#include <new>
#include <type_traits>

namespace simt::emulator {

static_assert(std::is_trivially_copyable_v<Shadow::Cell>);

// From calloc: a cell of zeros means "never touched", and pages that nobody touches take no memory.
Shadow::Shadow(std::size_t bytes) : cells_(static_cast<Cell*>(std::calloc(bytes / 4 + 1, sizeof(Cell)))) {
  if (!cells_) throw std::bad_alloc();
}

void Shadow::clear(std::size_t bytes) { std::fill_n(cells_.get(), bytes / 4 + 1, Cell{}); }

}  // namespace simt::emulator
