// What the inline functions of emulator/hopper.h call. Kernels never name these.
#pragma once

#include "simt/emulator/runtime.h"

namespace simt {

enum class Major;
enum class Swizzle;
struct TensorMap;

namespace emulator {

void mbarrier_init(void* barrier, std::uint32_t count, Site site);
void fence_mbarrier_init();
void mbarrier_arrive(void* barrier, std::uint32_t bytes, Site site);
bool mbarrier_test(void* barrier, std::uint32_t parity, Site site);
void mbarrier_wait(void* barrier, std::uint32_t parity, Site site);

void fence_proxy_async();
void tma_prefetch(const TensorMap& map, Site site);
void tma_load(void* to, const TensorMap& map, void* barrier, const int* at, int rank, Site site);
void tma_store(const TensorMap& map, const void* from, const int* at, int rank, Site site);
void tma_store_commit();
enum class StoreWait { read, written };
void tma_store_wait(int groups, StoreWait until);

void cp_async16(void* to, const void* from, int bytes, Site site);
void cp_async_commit();
void cp_async_wait(int groups);

// What one lane brings to ldmatrix or stmatrix, and to mma.
struct MatrixRow {
  void* row;
  std::uint32_t* registers;  // four
  bool trans;
};
struct MmaOperands {
  float* d;
  const std::uint32_t* a;
  const std::uint32_t* b;
};
// `lane`: one of these two.
void warp_matrix(WarpOperation operation, void* lane, Site site);

// What one thread brings to a wgmma.
struct WgmmaOperands {
  float* d;
  int size;                          // of d
  const std::uint32_t* a_registers;  // null: A is in shared memory
  std::uint64_t a, b;                // descriptors
  Major major_a, major_b;
  bool add;
};
void wgmma(const WgmmaOperands& operands, Site site);
void wgmma_fence();
void wgmma_commit();
void wgmma_wait(int groups, float* const (&named)[8], Site site);
std::uint64_t wgmma_descriptor(const void* tile, std::uint32_t leading, std::uint32_t stride, Swizzle swizzle,
                               Site site);

void setmaxnreg(int registers, bool increase, Site site);

}  // namespace emulator
}  // namespace simt
