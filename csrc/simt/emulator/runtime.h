// What the inline functions of the g++ half call: the emulator's own entry points. Kernels never name these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "simt/emulator/vocabulary.h"

namespace simt::emulator {

// One kernel argument as the launch stored it.
struct Argument {
  const void* value;
  std::size_t bytes;
  bool is_pointer;
  const unsigned char* members;  // for each byte 0xff, or 0 where it is padding
};

// A kernel with its arguments. run() is one GPU thread.
class Call {
 public:
  virtual ~Call() = default;
  virtual void run() const = 0;
  virtual std::vector<Argument> arguments() const = 0;
};

// Runs the grid before it returns (stream 0), or queues it on a stream.
void launch(dim3 grid, dim3 block, std::size_t shared_bytes, void* stream, std::unique_ptr<Call> call,
            Site site);

// Static shared memory: `key` tells declarations apart. Dynamic: what the launch asked for, which must hold
// `bytes`.
void* shared_static(const void* key, std::size_t bytes, std::size_t align, const char* name, Site site);
void* shared_dynamic(std::size_t bytes, std::size_t align, const char* name, Site site);

enum class Vote { none, any, all, count };

// Barrier `id`; `threads` < 0 means the whole block. `wait` false only counts the thread as arrived. Returns
// the outcome of the vote.
int barrier(int id, int threads, bool wait, Vote vote, bool predicate, Site site);

enum class WarpOperation {
  sync,
  shuffle,
  shuffle_up,
  shuffle_down,
  shuffle_xor,
  ballot,
  // Their values are addresses of the structs in hopper_runtime.h, one for each lane.
  ldmatrix,
  stmatrix,
  mma
};

// One operation that all lanes of `mask` take part in; returns this lane's result.
std::uint64_t warp(WarpOperation operation, unsigned mask, std::uint64_t value, int argument, int width,
                   Site site);

enum class AtomicOperation { add, minimum, maximum, conjunction, disjunction, exchange, compare_exchange };

// *address = operation(*address, value), in one step; returns the old value. T: int, unsigned, unsigned long
// long.
template <class T>
T atomic(AtomicOperation operation, T* address, T value, T compare, Site site);

// Lets another thread of the block run; a thread that does nothing else for too long is reported.
void spin(Site site);

}  // namespace simt::emulator
