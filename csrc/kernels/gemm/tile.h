// The engine under gemm and the convolutions: a block of threads sums outer products.
//
// All of them are sums of products, result[row][column] = sum over k of a[k][row] * b[k][column]; they differ
// in where a and b come from (the loaders) and in what becomes of a sum (the epilogue). What lies between is
// here. A block owns a tile of the result, 128 x 128 at best, and walks along k in steps of 8:
//
//                            b: 8 x 128 floats
//                           +-----------------+
//                         k |                 |
//                           +-----------------+
//            k                  column
//          +----+           +-----------------+        global memory -> registers   fetch(), a step ahead
//          |    |           | .   .           |        registers -> shared memory   put()
//  a:      |    |       row |                 |        shared memory -> registers   multiply()
//  128 x 8 |    |           | .   .   <- one thread's 8 x 8 sums stay in its
//          +----+           +-----------------+    registers from the first step to the last
//
// Shared memory is a small memory inside the multiprocessor that all threads of a block read and write, and
// that lives as long as the block: SIMT_SHARED declares a variable in it. __syncthreads() is where they wait
// for each other: what was written before it can be read after it. It has 32 banks, one for each float of a
// 128-byte row; a warp that asks one bank for two different floats at once waits twice, a "bank conflict".
//
// Why it is fast. A multiprocessor can start 128 multiply-adds a cycle but read only 32 floats of shared
// memory. A thread that keeps 8 x 8 sums reads 8 + 8 floats for 64 multiply-adds, in four 16-byte reads; and
// many threads of a warp read the same ones, which costs no more than one read. Global memory is read 16
// bytes at a time as well, once per tile: a step of 128 x 128 x 8 is 8 KB for 131072 multiply-adds, 1024
// cycles.
//
// There are two copies of a and b in shared memory. While the block multiplies one, the next step's floats
// travel from global memory into registers, and then into the other copy; so one barrier a step is enough,
// and nobody waits for memory as long as the multiplications take longer (double buffering).
//
// What limits it: the multiply-adds themselves. A step of a thread is 512 of them in about 580 instructions.
//
// Global memory may hold bfloat16: put() widens, which is exact, and what is written is rounded once. Shared
// memory and sums are float in any case.
#pragma once

#include "kernels/common/pack.h"
#include "simt/simt.h"

namespace alexnet {

// Steps of 8: one 16-byte read of a and of b for each thread of a 128 x 128 tile.
constexpr int kDepth = 8;

// A block of kWarpRows x kWarpColumns warps. A warp is 4 x 8 threads, and each thread owns kThreadRows x
// kThreadColumns sums (multiples of 4). kBlocks: how many shall fit a multiprocessor at once, which tells the
// compiler how many of its 65536 registers a thread may take.
template <int kWarpRows_, int kWarpColumns_, int kThreadRows_, int kThreadColumns_, int kBlocks_>
struct Tile {
  static constexpr int kWarpRows = kWarpRows_;
  static constexpr int kWarpColumns = kWarpColumns_;
  static constexpr int kThreadRows = kThreadRows_;
  static constexpr int kThreadColumns = kThreadColumns_;
  static constexpr int kBlocks = kBlocks_;
  static constexpr int kRows = kWarpRows * 4 * kThreadRows;
  static constexpr int kColumns = kWarpColumns * 8 * kThreadColumns;
  static constexpr int kThreads = kWarpRows * kWarpColumns * 32;
};

// A tile of one operand in shared memory: kDepth rows of kWidth floats. Four more floats to a row let a
// loader that turns its operand round write without bank conflicts: the 32 lanes of its warp hold 16 columns
// of k and the same 16 of k + 4, which then are 4 * (kWidth + 4), that is 16, banks apart.
template <int kWidth>
struct Operand {
  alignas(16) float at[kDepth][kWidth + 4];
};

// Shared memory of a block: both operands, twice.
template <class T>
struct Buffers {
  Operand<T::kRows> a[2];
  Operand<T::kColumns> b[2];
};

// Where a thread's sums lie in the tile: quads of rows 16 apart, quads of columns 32 apart.
//
//   thread (0, 0) of 4 x 8 owns rows 0-3, 16-19 and columns 0-3, 32-35; its neighbour below rows 4-7, 20-23.
//
// So the 8 threads of a row read 8 neighbouring quads of b, 128 bytes, all 32 banks once. Lanes are dealt out
// so that lanes 2i and 2i + 1 (lanes: the threads of a warp) read the same quad of b. A 16-byte read is
// served a quarter of a warp at a time, or more where lanes ask for the same bytes: 8 neighbours read 2 quads
// of a and 4 of b, 16 neighbours the same 2 of a and 8 of b, and 8 quads are a row of all banks.
template <class T>
struct Place {
  int row;
  int column;

  __device__ __forceinline__ Place() {
    const int warp = threadIdx.x / 32;
    const int lane = threadIdx.x % 32;
    const int lane_row = (lane & 1) | (lane >> 4) << 1;
    const int lane_column = (lane >> 1) & 7;
    row = warp / T::kWarpColumns * (4 * T::kThreadRows) + 4 * lane_row;
    column = warp % T::kWarpColumns * (8 * T::kThreadColumns) + 4 * lane_column;
  }

  // The tile's row of the thread's i-th sum, and the column of its j-th.
  __device__ __forceinline__ int row_of(int i) const { return row + i / 4 * 16 + i % 4; }
  __device__ __forceinline__ int column_of(int j) const { return column + j / 4 * 32 + j % 4; }
};

template <class T>
struct Sums {
  float at[T::kThreadRows][T::kThreadColumns];

  __device__ __forceinline__ Sums() {
    SIMT_UNROLL
    for (int i = 0; i < T::kThreadRows; ++i) {
      SIMT_UNROLL
      for (int j = 0; j < T::kThreadColumns; ++j) at[i][j] = 0.0f;
    }
  }
};

// kCount floats of one k: quads that lie kApart columns from each other.
template <int kCount, int kApart, int kWidth>
__device__ __forceinline__ void read_quads(const Operand<kWidth>& tile, int k, int first,
                                           float (&values)[kCount]) {
  SIMT_UNROLL
  for (int i = 0; i < kCount; i += 4) {
    const float4 quad = *reinterpret_cast<const float4*>(&tile.at[k][first + i / 4 * kApart]);
    values[i] = quad.x;
    values[i + 1] = quad.y;
    values[i + 2] = quad.z;
    values[i + 3] = quad.w;
  }
}

// One step: kDepth outer products, added to the thread's sums. `sum + x * y` is one instruction with one
// rounding on a GPU (nvcc fuses it) and two on a CPU, which often has no such instruction.
template <class T>
__device__ __forceinline__ void multiply(const Operand<T::kRows>& a, const Operand<T::kColumns>& b,
                                         const Place<T>& place, Sums<T>& sums) {
  SIMT_UNROLL
  for (int k = 0; k < kDepth; ++k) {
    float x[T::kThreadRows];
    float y[T::kThreadColumns];
    read_quads<T::kThreadRows, 16>(a, k, place.row, x);
    read_quads<T::kThreadColumns, 32>(b, k, place.column, y);
    SIMT_UNROLL
    for (int i = 0; i < T::kThreadRows; ++i) {
      SIMT_UNROLL
      for (int j = 0; j < T::kThreadColumns; ++j) sums.at[i][j] = sums.at[i][j] + x[i] * y[j];
    }
  }
}

// All steps. A loader has two functions: fetch() reads its thread's floats of the next step into registers
// and steps on, put(a, b) writes them to shared memory; what lies outside an array it must give as zeros. All
// threads of the block call this with the same number of steps.
//
// The last step stands outside the loop on purpose: with fetch() and put() behind an `if` inside it, nvcc 13
// joins the two and moves the loads behind the multiplications, where nothing hides the way to memory.
template <class T, class Loader>
__device__ __forceinline__ void accumulate(Loader& loader, int steps, Buffers<T>& buffers,
                                           const Place<T>& place, Sums<T>& sums) {
  if (steps == 0) return;
  loader.fetch();
  loader.put(buffers.a[0], buffers.b[0]);
  __syncthreads();
  int now = 0;
  for (int step = 1; step < steps; ++step) {
    loader.fetch();  // arrives while we multiply
    multiply<T>(buffers.a[now], buffers.b[now], place, sums);
    now = 1 - now;
    loader.put(buffers.a[now], buffers.b[now]);
    __syncthreads();
  }
  multiply<T>(buffers.a[now], buffers.b[now], place, sums);
}

// Reads four neighbouring elements whose address is a multiple of their size, or one (kWidth 1); zeros where
// `valid` is false and the address may be none.
template <int kWidth, class Element>
__device__ __forceinline__ Pack<Element, kWidth> read_or_zero(const Element* address, bool valid) {
  Pack<Element, kWidth> pack{};
  if (valid) pack = *reinterpret_cast<const Pack<Element, kWidth>*>(address);
  return pack;
}

// Writes the first `count` of four neighbouring elements; `aligned`: the address is a multiple of their size.
template <class Element>
__device__ __forceinline__ void write_quad(Element* address, const Pack<float, 4>& values, int count,
                                           bool aligned) {
  const auto rounded = from_floats<Element>(values);
  if (aligned && count >= 4) {
    *reinterpret_cast<Pack<Element, 4>*>(address) = rounded;
    return;
  }
  SIMT_UNROLL
  for (int i = 0; i < 4; ++i) {
    if (i < count) address[i] = rounded.at[i];
  }
}

}  // namespace alexnet
